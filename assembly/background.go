package assembly

import (
	"context"
	"sync"
)

// background is what runs beside the engine and the network until the broker ends. Any
// goroutine.
type background struct {
	// Static after construction.
	ctx    context.Context // of all that runs
	cancel context.CancelFunc

	running sync.WaitGroup
}

func newBackground() *background {
	ctx, cancel := context.WithCancel(context.Background())
	return &background{ctx: ctx, cancel: cancel}
}

// run calls f on a goroutine of its own. f returns soon after ctx has ended.
func (b *background) run(f func()) { b.running.Go(f) }

// end ends ctx, and returns when nothing runs any more.
func (b *background) end() {
	b.cancel()
	b.running.Wait()
}
