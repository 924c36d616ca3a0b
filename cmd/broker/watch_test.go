package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWatch watches a file that changes in the usual ways.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	one, two := put("one", "1"), put("two", "2")
	file := filepath.Join(dir, "config.yaml")
	link := func(to string) {
		t.Helper()
		must(os.Symlink(to, file+".new"))
		must(os.Rename(file+".new", file))
	}
	link(one)
	w := newWatch(file)
	looks := func(what string, want ...bool) {
		t.Helper()
		for i, one := range want {
			if w.changed() != one {
				t.Errorf("%s, look %d: not %t", what, i+1, one)
			}
		}
	}
	looks("nothing", false, false)
	link(two)
	looks("a link is swapped", false, true, false, false)
	put("two", "2 and")
	looks("it is being written", false)
	put("two", "2 and more")
	looks("it is being written", false, true, false)
	put("two", "2 and more")
	looks("written as it was", false, false)
	must(os.Remove(file))
	looks("it is gone", false, true, false)
	link(one)
	looks("it is back", false, true, false)
	put("one", "11")
	w.take()
	looks("it was taken", false, false)
}
