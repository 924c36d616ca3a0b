package conversations_test

import (
	"os"
	"strings"
	"testing"

	"github.com/polywire/polywire/conversations"
)

// TestReadme plays the script at the top of the README.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```\n")
	script, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("the README has no script")
	}
	s, err := conversations.Parse("README.md", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	if err := play(t, s, plain); err != nil {
		t.Error(err)
	}
}
