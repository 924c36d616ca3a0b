package sessions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// A store says what it has, without that being a look-up; what is too old is not there.
func TestKeys(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	limits := core.SessionLimits{MaxAge: time.Hour}
	memory := NewMemory()
	memory.now = func() time.Time { return now }
	memory.SetLimits(limits)
	files, err := OpenFiles(FileOptions{Dir: t.TempDir(), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	files.now = memory.now
	for _, name := range []string{"broken.wwrsess", "no session", ".wwrsess"} {
		if err := os.WriteFile(filepath.Join(files.dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		store interface {
			core.SessionStore
			Keys(ctx context.Context, visit func(key string)) error
			Peek(ctx context.Context, key string) (core.Session, error)
		}
		more int // files that cannot be read
	}{"memory": {memory, 0}, "files": {files, 1}} {
		start := now
		const n = keyBatch + 3
		for i := range n {
			if _, err := c.store.Create(t.Context(), fmt.Sprint("key", i), []byte(`{"a":1}`)); err != nil {
				t.Fatal(err)
			}
		}
		seen := make(map[string]bool)
		// Whoever is told may ask the store.
		if err := c.store.Keys(t.Context(), func(key string) {
			seen[key] = true
			_, _ = c.store.Peek(t.Context(), key)
		}); err != nil || len(seen) != n+c.more || !seen["key0"] {
			t.Errorf("%s: %d keys, %v", name, len(seen), err)
		}
		now = now.Add(time.Minute)
		for range 2 {
			if s, err := c.store.Peek(t.Context(), "key7"); err != nil || s.Key != "key7" || !s.Created.Equal(start) || !s.LastLookup.Equal(start) || s.Info != nil {
				t.Errorf("%s: %+v, %v", name, s, err)
			}
		}
		if s, err := c.store.Lookup(t.Context(), []byte("key7")); err != nil || !s.LastLookup.Equal(start) || len(s.Info) == 0 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		now = now.Add(59*time.Minute + time.Second)
		for key, known := range map[string]bool{"key7": true, "key8": false, "../key7": false, "": false} {
			if _, err := c.store.Peek(t.Context(), key); (err == nil) != known || !known && !errors.Is(err, errUnknown) {
				t.Errorf("%s: %s: %v", name, key, err)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.store.Keys(over, func(string) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: after the end of its context: %v", name, err)
		}
	}
}
