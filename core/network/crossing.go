package network

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// Watch makes connections keep what their clients say while it is carried out, until stop is called: a tap watches
// the topics on which it is published. stop may be called again. Any goroutine.
func (s *Server) Watch() (stop func()) {
	s.watched.Add(1)
	return sync.OnceFunc(func() { s.watched.Add(-1) })
}

var _ core.Speaker = (*conn)(nil)

// Saying returns the client's message that is carried out now, if it was kept.
func (c *conn) Saying() (f core.Frame, ok bool) { return c.format.saying() }

// forgetSaid forgets what the client has said, if that is carried out.
func (c *conn) forgetSaid() {
	if !c.in.holds.any() {
		c.format.forget()
	}
}

// tellCrossing tells what became of a message that is watched; ok says that out is its frame.
func (ep *endpoint) tellCrossing(by core.Crossing, out *frame, to []core.Audience, ok bool, err error) {
	f := core.Frame{}
	if ok {
		f = core.Frame{Kind: out.kind(), Data: out.bytes[len(out.bytes)-out.payload:]}
	}
	ep.tellEncoded(by, f, to, err)
}

// tellEncoded tells what a message that is watched was encoded as.
func (ep *endpoint) tellEncoded(by core.Crossing, f core.Frame, to []core.Audience, err error) {
	if err == nil && f.Kind == core.NoFrame {
		err = errUnwritable
	}
	receivers := 0
	for _, a := range to {
		receivers += int(a.(*audience).size.Load())
	}
	by.Encoded(ep.Endpoint.Endpoint, ep.Format, f, receivers, err)
}
