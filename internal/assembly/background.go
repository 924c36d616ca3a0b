package assembly

import (
	"context"
	"sync"
)

// background runs the goroutines beside the engine and the network until the broker ends. Safe for
// any goroutine.
type background struct {
	// Static after construction.
	ctx    context.Context // of every goroutine
	cancel context.CancelFunc

	running sync.WaitGroup
}

func newBackground() *background {
	ctx, cancel := context.WithCancel(context.Background())
	return &background{ctx: ctx, cancel: cancel}
}

// run calls f on a new goroutine. f must return soon after ctx has ended.
func (b *background) run(f func()) { b.running.Go(f) }

// end ends ctx, and returns when no goroutine is left.
func (b *background) end() {
	b.cancel()
	b.running.Wait()
}
