package polywire_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// TestReadme loads every configuration that the README and the documents show.
func TestReadme(t *testing.T) {
	for _, document := range []string{"README.md", "docs/security.md"} {
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
