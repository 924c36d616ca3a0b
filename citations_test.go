package polywire_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire"
)

var (
	// cited matches a document of this repository and its named sections, as in
	// docs/formats/vws.md, "Answers" and "Patterns". A path after a host is not ours.
	cited = regexp.MustCompile(`(^|[^\w./-])((?:docs|conversations|examples)/[\w./-]+\.md)((?:(?:,| and) "[^"]+")*)`)
	named = regexp.MustCompile(`"([^"]+)"`)
	// absent matches documents that are not in this repository.
	absent = regexp.MustCompile(`(^|[^\w/])(protocols|network|design|style)\.md`)
	// continued matches where a comment continues on the next line.
	continued = regexp.MustCompile(`\n\s*(?://|#+|\*)[ \t]+`)
	linked    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
)

// TestCitations checks that every document that a comment cites exists, with the named sections.
func TestCitations(t *testing.T) {
	n := 0
	eachText(t, []string{".go", ".txt", ".md", ".yaml", ".proto", ".js"}, func(file, text string) {
		if !strings.Contains(text, ".md") {
			return // the expressions take long, and most files cite nothing
		}
		if filepath.Ext(file) != ".md" {
			text = continued.ReplaceAllString(text, " ")
		}
		if file == "citations_test.go" {
			return
		}
		if m := absent.FindStringSubmatch(text); m != nil {
			t.Errorf("%s cites %s.md, which is not in the repository", file, m[2])
		}
		for _, m := range cited.FindAllStringSubmatch(text, -1) {
			n++
			sections := sectionsOf(t, file, m[2])
			for _, name := range named.FindAllStringSubmatch(m[3], -1) {
				if !slices.Contains(sections, name[1]) {
					t.Errorf("%s: %s has no section %q", file, m[2], name[1])
				}
			}
		}
	})
	if n < 100 {
		t.Errorf("only %d citations were found", n)
	}
}

// TestLinks checks that the files and sections exist that the documents link to.
func TestLinks(t *testing.T) {
	eachText(t, []string{".md"}, func(file, text string) {
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			target, anchor := m[1], strings.TrimPrefix(m[2], "#")
			if strings.Contains(target, ":") {
				continue
			}
			to := file
			if target != "" {
				to = path.Join(path.Dir(file), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which there is not", file, target)
			} else if anchor != "" && !slices.ContainsFunc(sectionsOf(t, file, to), func(s string) bool { return slug(s) == anchor }) {
				t.Errorf("%s: %s has no section #%s", file, to, anchor)
			}
		}
	})
}

// TestFormatPages checks that every built-in format has a page that names each of its options.
func TestFormatPages(t *testing.T) {
	for _, p := range polywire.Protocols() {
		if p.Name == "echo" {
			continue // it is for tests, and explains itself
		}
		t.Run(p.Name, func(t *testing.T) {
			text, err := os.ReadFile("docs/formats/" + p.Name + ".md")
			if err != nil {
				t.Fatal(err)
			}
			if p.Options == nil {
				return
			}
			for _, option := range optionsOf("", reflect.TypeOf(p.Options()).Elem()) {
				if !strings.Contains(string(text), fmt.Sprintf("| `%s` |", option)) {
					t.Errorf("the page does not name the option %s", option)
				}
			}
		})
	}
}

// optionsOf returns the keys of an options struct.
func optionsOf(before string, options reflect.Type) (keys []string) {
	for f := range options.Fields() {
		key := before + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, optionsOf(key+".", f.Type)...)
		} else {
			keys = append(keys, key)
		}
	}
	return keys
}

// sectionsOf returns the headings of a document.
func sectionsOf(t *testing.T, from, document string) (sections []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Errorf("%s cites %s, which there is not", from, document)
	}
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			sections = append(sections, strings.TrimSpace(heading))
		}
	}
	return sections
}

// slug returns the anchor of a heading.
func slug(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		}
	}
	return b.String()
}

// eachText calls f with every text file of some kinds.
func eachText(t *testing.T, kinds []string, f func(file, text string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != "." && (name[0] == '.' || name == "node_modules" || name == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !slices.Contains(kinds, filepath.Ext(file)) {
			return nil
		}
		text, err := os.ReadFile(file)
		f(filepath.ToSlash(file), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
