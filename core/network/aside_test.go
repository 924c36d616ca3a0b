package network

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// dawdler is the chat format, which takes as long over a big message as the test wants.
type dawdler struct {
	chat
	begun, go_ chan struct{}
}

func (d dawdler) NewCodec() core.Codec { return d }
func (d dawdler) Stateless()           {}

func (d dawdler) Decode(f core.Frame, to core.Sink) error {
	if len(f.Data) >= decodeAside {
		d.begun <- struct{}{}
		<-d.go_
		if strings.HasPrefix(string(f.Data), "fault") {
			panic("a fault")
		}
	}
	return d.chat.Decode(f, to)
}

// dawdling returns a server of one loop with a dawdler.
func dawdling(t *testing.T) (*rig, dawdler) {
	d := dawdler{begun: make(chan struct{}, 100), go_: make(chan struct{})}
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.MaxMessage = 1 << 20
		ep.Format = d
	})
	return r, d
}

// TestBigMessageHoldsNobodyUp: while a big message is decoded, only its client waits, and
// that client's next messages come after it. Broken version: a loop that decodes it itself.
func TestBigMessageHoldsNobodyUp(t *testing.T) {
	r, d := dawdling(t)
	big, other := r.dial("chat"), r.dial("chat")
	text := strings.Repeat("x", decodeAside)
	big.write(append(masked(ws.OpText, true, "echo "+text), masked(ws.OpText, true, "echo next")...))
	<-d.begun
	for range 10 {
		other.send("echo me")
		other.expect("me")
	}
	close(d.go_)
	big.expect(text)
	big.expect("next")
}

// TestBigMessageOfOneWhoLeaves: like any other message, it is carried out although its client
// has left meanwhile. Broken version: a client's close_notify ends it.
func TestBigMessageOfOneWhoLeaves(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secured), func(t *testing.T) {
			d := dawdler{begun: make(chan struct{}, 100), go_: make(chan struct{})}
			r, connect := startWith(t, secured, func(_ *Options, ep *Endpoint) { ep.Format = d })
			other := connect().upgrade()
			other.send("sub")
			other.expect("ok")
			big := connect().upgrade()
			link := r.hub.newest()
			text := strings.Repeat("x", decodeAside)
			big.write(masked(ws.OpText, true, "pub "+text))
			<-d.begun
			_ = big.Close()
			eventually(t, "its socket is gone", func() bool {
				return of(t, link, func(c *conn) bool { return c.socket.where == nowhere })
			})
			close(d.go_)
			other.expect(text)
			eventually(t, "it is gone", func() bool { return r.stats.Open.Load() == 1 })
		})
	}
}

// TestBigMessagesAreForgotten: messages that wait to be decoded are dropped when their
// clients are ended, and a codec that panics over one ends its connection.
func TestBigMessagesAreForgotten(t *testing.T) {
	r, d := dawdling(t)
	for range 4 {
		c := r.dial("chat")
		c.write(masked(ws.OpText, true, "fault "+strings.Repeat("x", decodeAside)))
	}
	<-d.begun
	eventually(t, "all wait", func() bool { return r.Inbound() > 4*decodeAside })
	r.hub.mu.Lock()
	links := r.hub.links
	r.hub.mu.Unlock()
	for _, l := range links[1:] {
		l.Post(func() { l.(*conn).cut() })
	}
	eventually(t, "they are gone", func() bool { return r.stats.Open.Load() <= 1 })
	close(d.go_)
	eventually(t, "the fault ends the other one", func() bool { return r.stats.Closed[core.ReasonInternal].Load() == 1 })
	if n := len(d.begun); n > 1 {
		t.Errorf("%d of those who left were decoded", n)
	}
}
