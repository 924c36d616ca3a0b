package record

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/polywire/polywire/internal/relay"
)

// Proxy passes connections on and records them. It serves once.
type Proxy struct {
	// Static after construction.
	o     Options
	relay *relay.Relay

	recorded   int // connections so far; owned by the goroutine that accepts them
	unrecorded atomic.Int64
}

// New returns a proxy.
func New(o Options) *Proxy {
	p := &Proxy{o: o.complete()}
	p.relay = relay.New(relay.Options{
		Dial: o.Dial, Server: o.Server, Program: "broker record", TLS: p.o.TLS, QueueBytes: p.o.QueueBytes, Note: p.o.Note, Admit: p.admit,
	})
	return p
}

// admit reports whether a further connection is recorded.
func (p *Proxy) admit() bool {
	if p.recorded == p.o.MaxConnections {
		p.unrecorded.Add(1)
		return false
	}
	p.recorded++
	return true
}

// Serve passes on what connects to l until ctx ends, then completes the conversation and ends the
// connections. It closes l. When a limit is reached the conversation is completed, and passing on goes on.
// The error is that of writing or listening, or [ErrLost].
func (p *Proxy) Serve(ctx context.Context, l net.Listener) (seen Summary, err error) {
	err = p.relay.Serve(ctx, l, func(q *relay.Queue, stop <-chan struct{}) error {
		r := newRecorder(p.o, q, p.unrecorded.Load)
		err := r.relayed(stop)
		seen = r.seen
		return err
	})
	return seen, err
}
