package shadow

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/polywire/polywire/core"
)

// Options say what is compared, and how much of it. Old and New are needed.
type Options struct {
	// Old opens a connection to the old server, New one to the shadow. They are called on goroutines
	// of their own.
	Old, New func(context.Context) (net.Conn, error)
	// TLS is that towards clients; nil is none.
	TLS *tls.Config
	// Server names the old server in what people read. It holds no secrets.
	Server string
	// Endpoint is what samples call the endpoint, and Path its own path.
	Endpoint, Path string
	// Dissector knows the format; nil knows that messages are JSON or text.
	Dissector core.Dissector
	// Window is how long a message may wait for an equal one of the other server; 0 is 2 s.
	Window time.Duration
	// Lag is how long what clients say may wait until the shadow has said what the old server had said
	// before it; 0 is 100 ms, but at most a quarter of Window.
	Lag time.Duration
	// Farewell is how long what waits is still looked at when the comparison ends; 0 is 5 s.
	Farewell time.Duration
	// Out gets samples of the differences, as comments of a conversation; nil is nobody. It is written
	// to on one goroutine. Samples bounds their number; 0 is 100.
	Out     io.Writer
	Samples int
	// MaxConnections is how many connections are compared at once, and MaxMessage the longest message
	// in bytes; 0 is 1000 and 1 MiB. What is beyond is only passed on.
	MaxConnections, MaxMessage int
	// QueueBytes bounds what waits to be looked at. ConnectionBytes bounds for each connection what
	// waits for its equal, and what waits to be said to the shadow; TotalBytes bounds both for all
	// connections together. 0 is 64 MiB, 4 MiB and 64 MiB.
	QueueBytes, ConnectionBytes, TotalBytes int
	// Seen is told every Interval what was compared, and at the end; nil is nobody, 0 is 1 s. It is
	// called on one goroutine and may block that for a moment.
	Seen     func(Summary)
	Interval time.Duration
	// Note is told for people what they have to know at once; nil is nobody. Any goroutine.
	Note func(string)
}

func (o Options) complete() Options {
	for _, x := range []struct {
		value *int
		usual int
	}{
		{&o.Samples, 100},
		{&o.MaxConnections, 1000},
		{&o.MaxMessage, 1 << 20},
		{&o.QueueBytes, 64 << 20},
		{&o.ConnectionBytes, 4 << 20},
		{&o.TotalBytes, 64 << 20},
	} {
		if *x.value == 0 {
			*x.value = x.usual
		}
	}
	if o.Window == 0 {
		o.Window = 2 * time.Second
	}
	if o.Lag == 0 {
		o.Lag = min(100*time.Millisecond, o.Window/4)
	}
	if o.Farewell == 0 {
		o.Farewell = 5 * time.Second
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Seen == nil {
		o.Seen = func(Summary) {}
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}
