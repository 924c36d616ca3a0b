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
	for _, example := range examples(t, newHealth(), 4) {
		want := "ok\n"
		if strings.Contains(example, "--verbose") {
			want = "[+]accepting ok\n[+]listeners ok\n[+]loops ok\n[+]plugins ok\n[+]certificates ok\n[+]memory ok\n[+]cluster ok\n[ ]bridges excluded\n[+]sessions ok\n[+]events ok\nreadyz check passed\n"
		}
		if got := s.enter(t, example).ends(t); got != want {
			t.Errorf("%s: %q", example, got)
		}
	}
	misspelt := s.enter(t, "broker health --config config.yaml --check certificate")
	if err := coretest.Receive(t, "the end of the command", misspelt.done); err == nil || !strings.Contains(misspelt.text(), `there is no check "certificate"; there are: accepting, listeners`) {
		t.Errorf("%v: %s", err, misspelt.text())
	}
	nobody := s.enter(t, fmt.Sprintf("broker health --config config.yaml --admin 127.0.0.1:%d", coretest.FreePort(t)))
	if err := coretest.Receive(t, "the end of the command", nobody.done); err == nil || !strings.Contains(nobody.text(), "connection refused") {
		t.Errorf("%v: %s", err, nobody.text())
	}
}
