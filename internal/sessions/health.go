package sessions

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// probeTime is how long Check waits for the disk.
const probeTime = time.Second

// prober asks a disk, which may hang, one question at a time. Any goroutine.
type prober struct {
	asked atomic.Int64 // when the question was asked that is not answered yet, in nanoseconds since 1970; 0 is none
}

// ask returns what question returns, or that it takes too long. At most one question waits.
func (p *prober) ask(question func() error) error {
	now := time.Now()
	if !p.asked.CompareAndSwap(0, now.UnixNano()) {
		if since := now.Sub(time.Unix(0, p.asked.Load())); since > probeTime && p.asked.Load() != 0 {
			return fmt.Errorf("the disk has not answered for %v", since.Round(time.Second))
		}
		return nil // somebody else is asking
	}
	answer := make(chan error, 1)
	go func() {
		defer p.asked.Store(0)
		answer <- question()
	}()
	timer := time.NewTimer(probeTime)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err
	case <-timer.C:
		return fmt.Errorf("the disk has not answered for %v", probeTime)
	}
}

// Check returns why sessions cannot be kept, or will soon not be: nothing can be written, or less than space bytes are
// left. It waits for the disk, but not long. Any goroutine.
func (f *Files) Check(space uint64) error {
	return f.prober.ask(func() error {
		probe, err := os.CreateTemp(f.dir, "*.tmp")
		if err == nil {
			_, err = probe.Write([]byte("probe"))
			err = errors.Join(err, probe.Close(), os.Remove(probe.Name()))
		}
		if err != nil {
			return fmt.Errorf("nothing can be written: %w", withoutPath(err))
		}
		if left, ok := spaceLeft(f.dir); ok && left < space {
			return fmt.Errorf("only %d MiB are left on its disk", left>>20)
		}
		return nil
	})
}
