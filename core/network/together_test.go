package network

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// TestTogetherWaitsForRoom: who posts much at once may wait for room meanwhile, also behind others
// that wait. Broken version: a mailbox that is not drained while it is held, crowded or not.
func TestTogetherWaitsForRoom(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	c := r.subscriber()
	link := r.hub.newest()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var let atomic.Int32
	const others = 100
	r.Together(func() {
		for i := range congestedMails {
			link.Send(core.Event{Kind: core.Pong, Ref: fmt.Append(nil, i)})
		}
		for range others {
			if !r.wait(func() { let.Add(1) }) {
				let.Add(1)
			}
		}
		if err := r.WaitForRoom(ctx); err != nil {
			t.Error(err)
		}
	})
	for i := range congestedMails {
		c.expect(fmt.Sprint(i))
	}
	eventually(t, "all have had room", func() bool { return let.Load() == others })
}
