package sessions

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// Sessions that cannot be removed are few lines, although clients make as many as they like.
func TestFaultsAreFewLines(t *testing.T) {
	var log strings.Builder
	handler := logging.New(slog.NewTextHandler(&log, nil))
	store, err := OpenFiles(FileOptions{Dir: t.TempDir(), Limits: core.SessionLimits{Max: 1}, Logger: slog.New(handler)})
	if err != nil {
		t.Fatal(err)
	}
	const many = 50
	for i := range many {
		key := fmt.Sprintf("s%d", i)
		if _, err := store.Create(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
		// A folder that is not empty is not removed.
		if err := os.Remove(store.path(key)); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(store.path(key), "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if n := store.Evicted(); n != many-1 {
		t.Errorf("%d sessions were evicted", n)
	}
	handler.Flush(time.Hour)
	// The first, and one with the number of the others.
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), fmt.Sprintf("left_out=%d", many-3)) {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
