package conversations

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeSpan   = regexp.MustCompile("`([^`]*…[^`]*|[^`]*[{][^`]*)`")
	scriptLink = regexp.MustCompile(`conversations/(failures/\w+\.\w+)`)
)

// TestFailureTable checks that every cell of docs/failures.md is proved: in the script that its row
// names, a connection named after the format, at its endpoint, expects what the cell shows. It also
// checks that the table contains every script.
func TestFailureTable(t *testing.T) {
	text, err := os.ReadFile("../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	var formats, shown []string
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---"):
			continue
		case formats == nil:
			for _, cell := range cells[2 : len(cells)-1] {
				formats = append(formats, strings.TrimSpace(cell))
			}
			continue
		}
		link := scriptLink.FindStringSubmatch(cells[len(cells)-1])
		if link == nil || len(cells) != len(formats)+3 {
			t.Errorf("%s: the row has %d cells and shows no script", cells[0], len(cells))
			continue
		}
		shown = append(shown, link[1])
		t.Run(link[1], func(t *testing.T) {
			script, err := os.ReadFile(link[1])
			if err != nil {
				t.Fatal(err)
			}
			for i, format := range formats {
				proveCell(t, string(script), format, cells[2+i])
			}
		})
	}
	if len(formats) != 5 || len(shown) != 8 {
		t.Errorf("the table has %d formats and %d failures, want 5 and 8", len(formats), len(shown))
	}
	scripts, err := filepath.Glob("failures/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		if !slices.Contains(shown, filepath.ToSlash(script)) {
			t.Errorf("%s is in no row", script)
		}
	}
}

// proveCell checks that a line of the script expects each of the cell's examples.
func proveCell(t *testing.T, script, format, cell string) {
	t.Helper()
	lines := strings.Split(script, "\n")
	if !slices.Contains(lines, "connect "+format+" "+format) {
		t.Errorf("no connection %q at the endpoint of that name", format)
	}
	examples := codeSpan.FindAllStringSubmatch(cell, -1)
	if len(examples) == 0 {
		t.Errorf("%s: the cell %q shows no example", format, cell)
	}
	for _, example := range examples {
		parts := strings.Split(example[1], "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		expected := regexp.MustCompile(`^` + format + ` <\S* .*` + strings.Join(parts, ".*"))
		if !slices.ContainsFunc(lines, expected.MatchString) {
			t.Errorf("%s: no line of the script expects %s", format, example[1])
		}
	}
}
