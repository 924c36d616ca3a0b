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
	asked atomic.Int64          // when the question was asked that is not answered yet, in nanoseconds since 1970; 0 is none
	last  atomic.Pointer[error] // what the last question returned
}

// ask returns what question returns, or that it takes too long. Who comes while it is asked gets the last answer.
func (p *prober) ask(question func() error) error {
	now := time.Now()
	if !p.asked.CompareAndSwap(0, now.UnixNano()) {
		if at := p.asked.Load(); at != 0 && now.Sub(time.Unix(0, at)) > probeTime {
			return fmt.Errorf("the disk has not answered for %v", now.Sub(time.Unix(0, at)).Round(time.Second))
		}
		if last := p.last.Load(); last != nil {
			return *last
		}
		return nil
	}
	answer := make(chan error, 1)
	go func() {
		err := question()
		p.last.Store(&err)
		p.asked.Store(0) // before the asker has the answer: the next one is asked anew
		answer <- err
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
