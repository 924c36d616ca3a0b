package client

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/polywire/polywire/core"
)

// Options say where a server is and how it is spoken to. Only URL and Codec are needed.
type Options struct {
	// URL is that of the WebSocket: ws://, wss://, or for a Unix socket ws+unix:SOCKET:PATH or wss+unix:.
	URL string
	// Codec makes the codec of each new connection.
	Codec func() core.ClientCodec
	// Header is sent with the upgrade, beside what the upgrade needs.
	Header http.Header
	// Subprotocols are offered in this order.
	Subprotocols []string
	// TLS is for wss; nil is the default.
	TLS *tls.Config
	// Heard is told what the server says, but for the outcomes of Do. It is called on one goroutine;
	// while it runs nothing is read, so it must not wait for an outcome. The event's bytes are borrowed.
	Heard func(core.Event)
	// Lull is called on the goroutine of Heard when it has heard all that was read, before more is waited for.
	// What it returns is called on a goroutine that may wait, and while it runs nothing is heard; nil if nothing
	// has to be waited for.
	Lull func() (wait func())
	// Host moves a connection without TLS into an event loop, which serves the guest with it, and closes conn.
	// On the loop it calls Heard, Lull and what is told the outcomes of commands, which must not block
	// then. nil: goroutines of the client serve each connection, as they do with TLS, and with a codec that is
	// a [core.RemoteClientCodec].
	Host func(conn net.Conn, guest core.Guest) error
	// Panicked is told of a panic of the codec, and of what is called with what the server says and with outcomes. It
	// ends the connection, and another one is made. Any goroutine. nil lets the panic go on, which ends the process;
	// on an event loop the panic is for who has the loop, in any case.
	Panicked func(fault any)
	// Changed is told when a connection is made (nil) and why one has ended or cannot be made. It is
	// called on one goroutine.
	Changed func(error)
	// Field is told each field of the response to an upgrade that is not the protocol's own; an error
	// gives the connection up. The bytes are borrowed. It is called on the goroutine of Changed, or of
	// Dial, and before Changed.
	Field func(name, value []byte) error
	// Unconfirmed is told, when a connection has ended, how many publications, answers and calls without an
	// outcome the server may not have read: it had not answered a ping that was sent behind them. It is not
	// called for a server that has never answered one. It is called on the goroutine of Changed, and before
	// it; nil asks for no such pings.
	Unconfirmed func(n int)
	// Timeout bounds an attempt to connect, up to the server's greeting; 0 is 10 s.
	Timeout time.Duration
	// FirstPause and MaxPause are the pauses before a connection is tried again: each is up to twice as
	// long as the one before, and shortened at random by up to half; 0 are 100 ms and 30 s.
	FirstPause, MaxPause time.Duration
	// PingInterval is the time between pings; 0 is 30 s. A server that has answered one has to
	// answer the others.
	PingInterval time.Duration
	// QueueBytes bounds what waits to be said; 0 is 16 MiB. Do fails with Overloaded beyond it.
	QueueBytes int
	// Queued counts the bytes that wait to be said; nil counts nothing.
	Queued *core.Level
	// FailAway makes commands fail while there is no connection, instead of waiting for one: those that come
	// with [ErrAway], and those that waited to be said when it ended with [ErrLost].
	FailAway bool
	// MaxSaid bounds a message to the server, in bytes, if the codec is a [core.BoundedClientCodec]: bigger
	// ones fail with [core.TooBig]. 0 is no bound.
	MaxSaid int
	// MaxMessage bounds a message of the server, in bytes; 0 is 64 MiB.
	MaxMessage int
	// RestoresNothing says that subscriptions and offers are not said again on a later connection: who has
	// said them does that, when Changed is told of it.
	RestoresNothing bool
	// Logger logs connections that end or cannot be made; nil logs nothing.
	Logger *slog.Logger
}

// writeTimeout bounds one write to the server.
const writeTimeout = 10 * time.Second

// complete fills in what was left out.
func (o Options) complete() Options {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.FirstPause, o.MaxPause = cmp.Or(o.FirstPause, 100*time.Millisecond), cmp.Or(o.MaxPause, 30*time.Second)
	o.PingInterval = cmp.Or(o.PingInterval, 30*time.Second)
	o.QueueBytes, o.MaxMessage = cmp.Or(o.QueueBytes, 16<<20), cmp.Or(o.MaxMessage, 64<<20)
	if o.Queued == nil {
		o.Queued = new(core.Level)
	}
	if o.Heard == nil {
		o.Heard = func(core.Event) {}
	}
	if o.Lull == nil {
		o.Lull = func() func() { return nil }
	}
	if o.Changed == nil {
		o.Changed = func(error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// hosts reports whether an event loop is to serve a connection.
func (o *Options) hosts(conn net.Conn, remote core.RemoteClientCodec) bool {
	if o.Host == nil || remote != nil {
		return false
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}
