package deploy_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnit has systemd read the service, and say how exposed it is: 0 is a service that may do nothing, 10 one that may do
// everything.
func TestUnit(t *testing.T) {
	analyze := installed(t, "systemd-analyze")
	// The program is not installed here, nor the manual pages.
	text := strings.NewReplacer("/usr/bin/broker", broker, "man:broker(1)", "https://github.com/polywire/polywire").Replace(
		read(t, "systemd/polywire.service"))
	unit := filepath.Join(t.TempDir(), "polywire.service")
	write(t, unit, text, 0o644)
	// What it warns of ends with exit code 0.
	if out, err := exec.Command(analyze, "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=25", unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
