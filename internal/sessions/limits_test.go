package sessions

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// fullDisk is the folder in which TestOnFullDisk finds the session "key".
const fullDisk = "SESSIONS_FULL_DISK"

// A full disk does not keep sessions from being restored.
func TestFilesOnFullDisk(t *testing.T) {
	store := newStore(t)
	if _, err := store.Create(t.Context(), "key", []byte(`{"u":1}`)); err != nil {
		t.Fatal(err)
	}
	// In a process of its own, which may not write files any more.
	cmd := exec.Command(os.Args[0], "-test.run=^TestOnFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), fullDisk+"="+store.dir)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestOnFullDisk") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(store.dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOnFullDisk(t *testing.T) {
	dir := os.Getenv(fullDisk)
	if dir == "" {
		t.Skip("is run by TestFilesOnFullDisk")
	}
	var log bytes.Buffer
	store, err := OpenFiles(FileOptions{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	before, err := store.Lookup(t.Context(), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	was := limit.Cur
	limit.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s, err := store.Lookup(t.Context(), []byte("key"))
		if err != nil || string(s.Info) != `{"u":1}` || s.LastLookup.Before(before.LastLookup) {
			t.Errorf("restored %+v, %v", s, err)
		}
	}
	if _, err := store.Create(t.Context(), "other", nil); err == nil {
		t.Error("a session was made that cannot be kept")
	}
	limit.Cur = was
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lookup(t.Context(), []byte("key")); err != nil {
		t.Error(err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "written again") || strings.Contains(log.String(), "key") {
		t.Errorf("the log has %d lines, want 2:\n%s", lines, &log)
	}
}

// limited returns the store of a folder with a clock that the test sets.
func limited(t *testing.T, dir string, l core.SessionLimits, now *time.Time) *Files {
	t.Helper()
	f, err := OpenFiles(FileOptions{Dir: dir, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	f.now = func() time.Time { return *now }
	return f
}

// wantFiles checks which sessions there are.
func wantFiles(t *testing.T, dir, want string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+fileSuffix))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, f := range files {
		keys = append(keys, strings.TrimSuffix(filepath.Base(f), fileSuffix))
	}
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("there are %q, want %q", got, want)
	}
}

func TestFilesMax(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "wwrsess"), time.Now()
	store := limited(t, dir, core.SessionLimits{Max: 3}, &now)
	for _, key := range []string{"a", "b", "c"} {
		if _, err := store.Create(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Lookup(t.Context(), []byte("a")); err != nil {
		t.Error(err)
	}
	if _, err := store.Create(t.Context(), "d", nil); err != nil {
		t.Error(err)
	}
	// b was not used for the longest time.
	wantFiles(t, dir, "a c d")
	requireUnknown(t, store, "b")
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Error(err)
	}
	if _, err := store.Create(t.Context(), "e", nil); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, "a d e")

	// Another process counts what is there, by the times of the files. It leaves files alone
	// that are no sessions.
	for i, key := range []string{"e", "a", "d"} {
		at := now.Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, key+fileSuffix), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".x"+fileSuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	limited(t, dir, core.SessionLimits{Max: 2}, &now)
	wantFiles(t, dir, ".x a d")
	if _, err := os.Stat(filepath.Join(dir, ".x"+fileSuffix)); err != nil {
		t.Error(err)
	}
}

func TestFilesMaxAge(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "wwrsess"), time.Now()
	store := limited(t, dir, core.SessionLimits{MaxAge: time.Hour}, &now)
	for _, key := range []string{"a", "b"} {
		if _, err := store.Create(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(50 * time.Minute)
	if _, err := store.Lookup(t.Context(), []byte("a")); err != nil {
		t.Error(err)
	}
	now = now.Add(20 * time.Minute)
	if _, err := store.Lookup(t.Context(), []byte("a")); err != nil {
		t.Errorf("what was used lately is unknown: %v", err)
	}
	wantFiles(t, dir, "a")
	requireUnknown(t, store, "b")
	now = now.Add(2 * time.Hour)
	requireUnknown(t, store, "a")
	wantFiles(t, dir, "")
	if n := store.Evicted(); n != 2 {
		t.Errorf("%d were put out, want 2", n)
	}
	// Another process with another memory finds them by their files.
	if _, err := store.Create(t.Context(), "c", nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	requireUnknown(t, limited(t, dir, core.SessionLimits{MaxAge: time.Hour}, &now), "c")
	wantFiles(t, dir, "")
}

// Concurrent creations never leave more sessions than the limit.
func TestFilesMaxConcurrently(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "wwrsess"), time.Now()
	store := limited(t, dir, core.SessionLimits{Max: 5}, &now)
	done := make(chan error)
	for i := range 8 {
		go func() {
			for n := range 20 {
				key := fmt.Sprintf("k%d-%d", i, n)
				if _, err := store.Create(t.Context(), key, nil); err != nil {
					done <- err
					return
				}
				_, _ = store.Lookup(t.Context(), []byte(key))
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 5 || store.usage.recent.Len() != 5 {
		t.Errorf("%d files, %d known, want 5; %v", len(files), store.usage.recent.Len(), err)
	}
}
