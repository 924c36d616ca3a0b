package shadow

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/polywire/polywire/internal/relay"
)

// Shadow passes connections on to the old server and compares the shadow with it. It serves once.
type Shadow struct {
	// Static after construction.
	o     Options
	relay *relay.Relay

	watched atomic.Int64 // connections that are compared now
	beyond  atomic.Int64 // connections that were not
}

// New returns a shadow.
func New(o Options) *Shadow {
	s := &Shadow{o: o.complete()}
	s.relay = relay.New(relay.Options{
		Dial: s.o.Old, Server: s.o.Server, Program: "broker shadow", TLS: s.o.TLS, QueueBytes: s.o.QueueBytes, Note: s.o.Note, Admit: s.admit,
	})
	return s
}

// admit reports whether a further connection is compared.
func (s *Shadow) admit() bool {
	if s.watched.Add(1) > int64(s.o.MaxConnections) {
		s.watched.Add(-1)
		s.beyond.Add(1)
		return false
	}
	return true
}

// Serve passes on what connects to l until ctx ends, then completes the samples and ends the connections, those
// to the shadow too. It closes l. The error is that of writing or listening, [ErrDifferent] or
// [ErrNotCompared], or several of them.
func (s *Shadow) Serve(ctx context.Context, l net.Listener) (seen Summary, err error) {
	err = s.relay.Serve(ctx, l, func(q *relay.Queue, stop <-chan struct{}) error {
		c := newComparer(s, q)
		err := c.run(stop)
		seen = c.seen
		return err
	})
	return seen, err
}
