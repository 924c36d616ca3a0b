package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help say that a broker is well, and one that does not run is not.
func TestExamplesOfHealth(t *testing.T) {
	s := speak(t, "")
	for _, example := range examples(t, newHealth(), 2) {
		if got := s.enter(t, example).ends(t); got != "ok\n" {
			t.Errorf("%s: %q", example, got)
		}
	}
	nobody := s.enter(t, fmt.Sprintf("broker health --config config.yaml --admin 127.0.0.1:%d", coretest.FreePort(t)))
	if err := coretest.Receive(t, "the end of the command", nobody.done); err == nil || !strings.Contains(nobody.text(), "connection refused") {
		t.Errorf("%v: %s", err, nobody.text())
	}
}
