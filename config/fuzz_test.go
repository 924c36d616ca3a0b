package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/polywire/polywire/config"
)

// FuzzLoad checks that no file is too odd to be reported: Load returns a configuration, or problems
// that have a text.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		twoEndpoints, "# nothing", "---\n", "null", "--- |\n x", "\t", "\x00", "\xff\xfe", "{", "a: *b", "<<: {a: 1}", "<<: 1",
		"endpoints: [*a]", "endpoints: [&a {<<: *a}]", "? ", "endpoints: [[]]", "endpoints: [{options: []}]", "'a.b': {c: 1}",
		"endpoints.0: 1", "log.level: x", "endpoints: [{name: a, protocol: hook, options: 5}]", "!!binary x: !!float y",
		"endpoints: !!int x", "'': 1", "log: {'': 1}", "endpoints: [{protocol: hook, options: {headers: {'a.b': c}, names: [[x]], send: 2001-01-01}}]",
	} {
		f.Add([]byte(text))
	}
	file := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Source{File: file, Env: []string{"POLYWIRE_LOG__LEVEL=debug"}}, protocols())
		var faults config.Errors
		switch {
		case err == nil && len(cfg.Endpoints) == 0:
			t.Error("neither endpoints nor problems")
		case err == nil:
		case !errors.As(err, &faults) || len(faults) == 0:
			t.Errorf("Load returned %v", err)
		}
		for _, p := range faults {
			if p.Text == "" || p.File == "" {
				t.Errorf("a problem without words: %+v", p)
			}
		}
	})
}

// FuzzOrigin: a normalized entry of origins normalizes to itself, and no entry panics.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/", "https://*.bücher.example:443", "http://[::1]:*", "http://[::ffff:1.2.3.4]", "file:///", "Null", "*",
		"chrome-extension://AbC", "https://example.com.", "https://xn--bcher-kva.example", "http://Xn--", "https://xn--.a", "https://1.2.3.4.", "https://a:00443", "//x", "x y",
	} {
		f.Add(seed)
	}
	counts := func(entry string) (string, bool) {
		text := fmt.Sprintf("endpoints: [{name: a, protocol: chat, origins: [%s]}]", strconv.QuoteToASCII(strings.ReplaceAll(entry, "$", "")))
		cfg, err := config.Load(config.Source{Text: text}, protocols())
		if err != nil {
			return "", false
		}
		return cfg.Endpoints[0].Origins[0], true
	}
	f.Fuzz(func(t *testing.T, entry string) {
		if !utf8.ValidString(entry) {
			t.Skip()
		}
		once, ok := counts(entry)
		if !ok {
			return
		}
		if twice, ok := counts(once); !ok || twice != once {
			t.Errorf("%q counts as %q, and that as %q (%t)", entry, once, twice, ok)
		}
	})
}
