package sessions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

// A store says when it cannot write, or will soon not, and leaves nothing behind.
func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sessions")
	f, err := NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	answered := func(space uint64) (err error) {
		// A busy machine may take longer than the check waits.
		coretest.Eventually(t, "the disk answers", func() bool {
			err = f.Check(space)
			return err == nil || !strings.HasPrefix(err.Error(), "the disk has not answered")
		})
		return err
	}
	if err := answered(1); err != nil {
		t.Error(err)
	}
	if err := answered(1 << 62); err == nil || !strings.Contains(err.Error(), "MiB are left") {
		t.Errorf("on a disk that is never so big: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("it leaves %v behind: %v", entries, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := answered(1); err == nil || !strings.HasPrefix(err.Error(), "nothing can be written: ") || strings.Contains(err.Error(), dir) {
		t.Errorf("without a folder: %v", err)
	}
}

// A disk that hangs is asked once, and nobody waits for it for long.
func TestHangingDisk(t *testing.T) {
	var p prober
	release, asked := make(chan struct{}), make(chan struct{}, 2)
	hang := func() error {
		asked <- struct{}{}
		<-release
		return nil
	}
	if err := p.ask(hang); err == nil {
		t.Error("the first one is told nothing")
	}
	p.asked.Store(time.Now().Add(-time.Hour).UnixNano())
	if err := p.ask(hang); err == nil || err.Error() != "the disk has not answered for 1h0m0s" {
		t.Errorf("the second one is told %v", err)
	}
	close(release)
	coretest.Eventually(t, "it answers again", func() bool { return p.asked.Load() == 0 })
	if n := len(asked); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	if err := p.ask(func() error { return nil }); err != nil {
		t.Error(err)
	}
}
