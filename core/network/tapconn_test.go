package network

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// tapConnection begins a tap on the connection that was opened last.
func (r *rig) tapConnection(o core.TapOptions) *tapReader {
	r.t.Helper()
	tap, err := r.TapConnection(context.Background(), r.hub.newest().ID(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(tap.Close)
	return &tapReader{t: r.t, tap: tap, numbers: map[uint64]int{0: 0}}
}

// A tap on a connection reports what it says and hears from then on, beside a tap on its endpoint, until it ends.
func TestTapConnection(t *testing.T) {
	r := start(t, nil)
	r.subscriber()
	endpoint := r.tap("chat", 1000)
	c := r.dial("chat")
	c.send("echo before")
	c.expect("before")
	id := r.hub.newest().ID()
	tap := r.tapConnection(core.TapOptions{MaxMessage: 1000})
	other := r.dial("chat")
	other.send("echo other")
	other.expect("other")
	c.send("echo after")
	c.expect("after")
	tap.expect("1 > text echo after", "1 < text after")
	endpoint.expect("1 > request GET / HTTP/1.1", "1 < response HTTP/1.1 101 Switching Protocols", "1 > text echo before", "1 < text before",
		"2 > request GET / HTTP/1.1", "2 < response HTTP/1.1 101 Switching Protocols", "2 > text echo other", "2 < text other",
		"1 > text echo after", "1 < text after")

	if _, err := r.TapConnection(t.Context(), id, core.TapOptions{}); !errors.Is(err, errTapped) {
		t.Errorf("tapped twice: %v", err)
	}
	if _, err := r.TapConnection(t.Context(), 1<<60, core.TapOptions{}); !errors.Is(err, core.ErrNoConnection) {
		t.Errorf("a connection that is none: %v", err)
	}
	if open, _ := r.Taps(); open != 2 {
		t.Errorf("%d taps are open", open)
	}
	c.write(masked(ws.OpClose, true, "\x03\xe8bye"))
	tap.expect("1 > close \x03\xe8bye", "1 < close \x03\xe8bye")
	_ = c.Close()
	tap.expect("1 < end", "0 < over the connection has ended")
	coretest.Eventually(t, "the tap has ended", func() bool { open, _ := r.Taps(); return open == 1 })
}

// When its tap is closed a connection reports nothing any more, and can be tapped again.
func TestTapConnectionAgain(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	c.send("echo a")
	c.expect("a")
	first := r.tapConnection(core.TapOptions{MaxMessage: 1000})
	first.tap.Close()
	var second *tapReader
	coretest.Eventually(t, "the connection is not tapped", func() bool {
		tap, err := r.TapConnection(context.Background(), r.hub.newest().ID(), core.TapOptions{MaxMessage: 1000, Every: 3})
		if err == nil {
			second = &tapReader{t: t, tap: tap, numbers: map[uint64]int{0: 0}}
			t.Cleanup(tap.Close)
		}
		return err == nil
	})
	for i := range 3 {
		c.send(fmt.Sprint("echo ", i))
		c.expect(fmt.Sprint(i))
	}
	second.expect("1 > text echo 0", "1 < text 1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := r.dial("chat")
	other.send("echo a")
	other.expect("a")
	for range 10 * maxTaps { // nobody waits any more: no place is lost
		if tap, err := r.TapConnection(ctx, r.hub.newest().ID(), core.TapOptions{}); err == nil {
			tap.Close()
		}
	}
	if open, _ := r.Taps(); open != 1 {
		t.Errorf("%d taps are open", open)
	}
}
