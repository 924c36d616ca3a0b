package polywire_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// TestReadme loads every configuration that the README and the documents show.
func TestReadme(t *testing.T) {
	for _, document := range []string{"README.md", "docs/security.md", "docs/cluster.md", "docs/bridges.md", "docs/events.md", "docs/admin.md"} {
		t.Run(document, func(t *testing.T) { loadShown(t, document) })
	}
}

func loadShown(t *testing.T, document string) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("it shows no configuration")
	}
	for _, block := range blocks {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(config.Source{File: file}, polywire.Protocols()); err != nil {
			t.Errorf("%v\n%s", err, block[1])
		}
	}
}

// TestReadmeProgram: the README shows the program of the example, which examples_test.go builds and
// runs.
func TestReadmeProgram(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```\n").FindAllSubmatch(text, -1)
	program, err := os.ReadFile("examples/embed/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ = bytes.Cut(program, []byte("\n")) // the comment
	if len(blocks) != 1 || string(blocks[0][1]) != string(program) {
		t.Error("README.md does not show examples/embed/main.go")
	}
}

// TestAbuseTable checks that the tests and conversations exist that docs/abuse.md names.
func TestAbuseTable(t *testing.T) {
	text, err := os.ReadFile("docs/abuse.md")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`).FindAllStringSubmatch(string(text), -1)
	if len(links) == 0 {
		t.Fatal("it names no test")
	}
	for _, l := range links {
		name, file := l[1], filepath.Join("docs", l[2])
		code, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.HasSuffix(file, "_test.go") && !strings.Contains(string(code), "\nfunc "+name+"(") {
			t.Errorf("%s has no %s", file, name)
		}
	}
}
