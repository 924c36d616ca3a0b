package admin

import (
	"context"
	"errors"
)

// turns lets requests do one after the other what takes the event loops' time: who asks again and again waits for
// their own requests, and the loops have no more to do. Any goroutine.
type turns struct {
	// Static after construction.
	taken chan struct{} // holds an element while a request has its turn
	busy  error         // for who has waited in vain
}

func newTurns(busy string) turns { return turns{make(chan struct{}, 1), errors.New(busy)} }

// take calls f when it is its turn, which it has until ctx ends, and for apiTimeout with the waiting.
func (t turns) take(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		return t.busy
	}
	defer func() { <-t.taken }()
	return f(ctx)
}
