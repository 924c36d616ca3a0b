package clients

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPage reads the page of the admin server in Chromium, as page/page.mjs says. With SHOTS, a folder, it keeps
// pictures for the documentation there.
func TestPage(t *testing.T) {
	if _, err := os.Stat("page/node_modules"); err != nil {
		t.Fatal("what drives the page is not installed: run `make clients`")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("the page is read in Chromium: run `make clients`")
	}
	const token = "a token of the test"
	p := configured(t, fmt.Sprintf(`
endpoints:
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0"}
admin:
  listen: "127.0.0.1:0"
  tokens: [{hash: "sha256:%x", subject: operator, role: operate}]
`, sha256.Sum256([]byte(token))))
	shots := os.Getenv("SHOTS")
	if shots != "" {
		if shots, err = filepath.Abs(shots); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", "page.mjs")
	cmd.Dir = "page"
	cmd.Env = append(os.Environ(), "ADMIN="+strings.TrimSuffix(p.urls["admin"], "/metrics"), "TOKEN="+token,
		"WUBSUB="+p.urls["wubsub"], "WSIFY="+p.urls["wsify"], "CHROMIUM="+chromium, "SHOTS="+shots)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("node page.mjs: %v\n%s", err, out)
	}
}
