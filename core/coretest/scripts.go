// Package coretest is shared by tests: the wire cases of codecs, and helpers that wait.
package coretest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Said returns the messages of the clients in the conversations of a format, which are in
// conversations/FORMAT: seeds for fuzzing its decoder. pattern is the path to
// them from the test's folder, such as "../../conversations/wubsub/*.txt".
func Said(t testing.TB, pattern string) [][]byte {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: found %d files, %v", pattern, len(files), err)
	}
	var said [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, message, ok := strings.Cut(strings.TrimRight(line, "\n"), " > "); ok && line[0] != '#' {
				said = append(said, []byte(message))
			}
		}
	}
	if len(said) == 0 {
		t.Fatalf("%s: nobody says anything", pattern)
	}
	return said
}
