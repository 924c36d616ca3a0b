package polywire_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTracked: what is committed is written by people or made from what they wrote, and not a program that was built beside it.
func TestTracked(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("this is no checkout: %v", err)
	}
	const most = 1 << 20
	for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if info, err := os.Stat(file); err == nil && info.Size() > most {
			t.Errorf("%s has %d bytes", file, info.Size())
		}
	}
}
