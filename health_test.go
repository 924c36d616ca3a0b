package polywire_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// The checks look at the broker as it is: its sockets, its event loops, its disks; and a reload says what to make of it.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	socket, store := filepath.Join(dir, "s"), filepath.Join(dir, "sessions")
	text := func(health string) string {
		return fmt.Sprintf(`
endpoints:
  - {name: web, protocol: wsify, listen: "127.0.0.1:0"}
  - {name: local, protocol: wsify, listen: "unix:%s"}
  - {name: mobile, protocol: webwire, listen: "127.0.0.1:0", options: {sessions: {store: file, dir: %q}}}
admin: {listen: "127.0.0.1:0", health: {%s}}
`, socket, store, health)
	}
	r := run(t, text(""))
	base := strings.TrimSuffix(r.AdminURL(), "/metrics")
	// A busy machine may take longer to write a file than a check waits for that.
	wants := func(path string, status int, want string) {
		t.Helper()
		coretest.Eventually(t, fmt.Sprintf("%s: %d %q", path, status, want), func() bool {
			code, body := get(t, base+path)
			return code == status && strings.Contains(body, want)
		})
	}
	wants("/readyz/loops?format=json", http.StatusOK, `"checks":{"loops":[{"status":"pass"`) // no client has come yet
	dial(t, r.urls["web"].URL)
	coretest.Eventually(t, "there is a loop", func() bool {
		_, body := get(t, base+"/readyz/loops?format=json")
		return strings.Contains(body, `"componentId":"0","status":"pass","observedValue":`)
	})
	wants("/readyz?verbose", http.StatusOK, "[+]listeners ok\n[+]loops ok\n")
	wants("/readyz/sessions?format=json", http.StatusOK, `"componentId":"mobile","status":"pass"`)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	wants("/readyz", http.StatusOK, "ok\n")
	wants("/readyz/sessions", http.StatusOK, "ok, but for sessions: mobile: nothing can be written: ")
	r.reload(t, text("sessions: fail"))
	wants("/readyz", http.StatusServiceUnavailable, "not ready: sessions: mobile: nothing can be written: ")
	plan := r.reload(t, text("sessions: off"))
	if got := line(plan); !strings.HasSuffix(got, "| admin.health | ") {
		t.Errorf("plan %s", got)
	}
	wants("/readyz", http.StatusOK, "ok\n")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	wants("/readyz", http.StatusServiceUnavailable, "not ready: listeners: local: its socket is gone: ")
	wants("/readyz?exclude=listeners", http.StatusOK, "ok\n")
	wants("/livez", http.StatusOK, "ok\n")
}
