package polywire_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws/wsutil"
)

// TestSessionKeysAreNoPaths: whatever a webwire client gives as its session's key, no file but a
// session's own in the folder of sessions is read, written or made. A lookup that found another
// file would write to it.
func TestSessionKeysAreNoPaths(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "sessions")
	b := run(t, `
endpoints:
  - {name: mobile, protocol: webwire, listen: "127.0.0.1:0", options: {sessions: {store: file, dir: "`+dir+`"}}}
admin: {listen: ""}
`)
	const session = `{"c":"2020-01-01T00:00:00Z","l":"2020-01-01T00:00:00Z","i":null}`
	places := []string{"outside.wwrsess", "sessions/sub/deep.wwrsess", "sessions/.hidden.wwrsess"}
	for _, p := range places {
		p = filepath.Join(top, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(session), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, b.urls["mobile"].URL)
	for _, key := range []string{
		"../outside", "../outside.wwrsess", "sub/deep", "sub/../sub/deep", ".hidden", "./.hidden", `..\outside`, "%2e%2e%2foutside",
		"../outside\x00", "\x00", ".", "..", "/", filepath.Join(top, "outside"), "//" + filepath.Join(top, "outside"),
		"~/x", "C:outside", "file:///etc/passwd", "..%c0%afoutside", "．．／outside", strings.Repeat("../", 30) + "etc/passwd",
		strings.Repeat("k", 247), strings.Repeat("k", 4096),
	} {
		if err := wsutil.WriteClientBinary(c.conn, []byte("\x20id000001"+key)); err != nil {
			t.Fatal(err)
		}
		for {
			got, err := wsutil.ReadServerBinary(c.rw)
			if err != nil {
				t.Fatalf("%.40q: %v", key, err)
			}
			if strings.HasPrefix(string(got[1:]), "id000001") {
				if got[0] != 3 {
					t.Errorf("%.40q is answered with type %d, want 3: no such session", key, got[0])
				}
				break
			}
		}
	}
	found := 0
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		if is, err := os.ReadFile(path); err != nil || string(is) != session {
			t.Errorf("%s is %q, %v", path, is, err)
		}
		return nil
	})
	if err != nil || found != len(places) {
		t.Errorf("%d files, want %d; %v", found, len(places), err)
	}
}
