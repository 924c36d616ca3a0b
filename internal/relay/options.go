package relay

import (
	"context"
	"crypto/tls"
	"net"
)

// Options say what is passed on, and to whom. Dial and Program are needed.
type Options struct {
	// Dial opens a connection to the server. It is called on a goroutine for each client.
	Dial func(context.Context) (net.Conn, error)
	// TLS is that towards clients; nil is none.
	TLS *tls.Config
	// Server names the server in what people read. It holds no secrets.
	Server string
	// Program names the relay to clients of a server that cannot be reached.
	Program string
	// QueueBytes bounds what waits for the watcher; 0 is 64 MiB.
	QueueBytes int
	// Admit is asked whether a further connection is watched; others are only passed on. nil watches
	// all. Its calls do not overlap.
	Admit func() bool
	// Note is told for people what they have to know at once, such as that the server cannot be
	// reached; nil is nobody. Any goroutine.
	Note func(string)
}

func (o Options) complete() Options {
	if o.QueueBytes == 0 {
		o.QueueBytes = 64 << 20
	}
	if o.Admit == nil {
		o.Admit = func() bool { return true }
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}
