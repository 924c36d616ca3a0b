package conversations

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFaults compares the reports of every testdata/faults/*.txt with the .want
// beside it.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".txt") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(filepath.Base(file), text)
			if err == nil {
				t.Fatal("the script was read without a fault")
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestParseSettings(t *testing.T) {
	s, err := Parse("s.txt", []byte("# About\n---\na: 1\n---\ntimeout 2s\nnosync\nwebhook auth\n\nconnect c e\nc > x\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Config != "a: 1\n" || s.Timeout != 2*time.Second || !s.NoSync {
		t.Errorf("config %q, timeout %v, nosync %v", s.Config, s.Timeout, s.NoSync)
	}
	if names := s.Webhooks(); len(names) != 1 || names[0] != "auth" {
		t.Errorf("webhooks %q", names)
	}
	if n := len(s.statements); n != 2 || s.statements[1].line != 10 {
		t.Errorf("statements %+v", s.statements)
	}
}

// FuzzParse expects a script or faults, and no panic.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("*/*.txt")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("connect a b\na > ${repeat 3 x}\na < {\"a\":*,...}\na <b 00 * \"x\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("fuzz.txt", text)
		if (s == nil) != (err != nil) {
			t.Fatalf("script %v, error %v", s, err)
		}
	})
}
