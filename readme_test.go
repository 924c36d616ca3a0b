package polywire_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// TestReadme loads every configuration that the README shows.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
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
