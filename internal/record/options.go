package record

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/polywire/polywire/core"
)

// Options say what is recorded, and how much of it. Dial, Endpoint and Out are needed.
type Options struct {
	// Dial opens a connection to the server. It is called on a goroutine for each client.
	Dial func(context.Context) (net.Conn, error)
	// TLS is that towards clients; nil is none.
	TLS *tls.Config
	// Server names the server in what people read. It holds no secrets.
	Server string
	// Endpoint is the name that the conversation uses for the server's endpoint.
	Endpoint string
	// Path is the endpoint's own path: connections that ask for it are recorded without a path.
	Path string
	// Dissector knows the format; nil knows that messages are JSON or text.
	Dissector core.Dissector
	// Out gets the conversation. It is written to on one goroutine.
	Out io.Writer
	// MaxSize, MaxTime and MaxMessage bound the conversation in bytes, in time, and a message of it in
	// bytes; MaxConnections is how many connections are recorded. 0 is no bound for MaxTime, and else
	// 64 MiB, 1 MiB and 1000. What is beyond is passed on.
	MaxSize        int64
	MaxTime        time.Duration
	MaxMessage     int
	MaxConnections int
	// QueueBytes bounds what waits to be recorded; 0 is 64 MiB.
	QueueBytes int
	// Seen is told about once a second what was recorded, and at the end; nil is nobody. It is called
	// on one goroutine and may block that for a moment.
	Seen func(Summary)
	// Note is told for people what they have to know at once, such as that the server cannot be
	// reached; nil is nobody. Any goroutine.
	Note func(string)
}

func (o Options) complete() Options {
	if o.MaxSize == 0 {
		o.MaxSize = 64 << 20
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 1 << 20
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 1000
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 64 << 20
	}
	if o.Seen == nil {
		o.Seen = func(Summary) {}
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}

// Summary is what was recorded so far.
type Summary struct {
	// Connections, Requests: WebSocket connections, and HTTP requests that were none.
	Connections, Requests int
	// Sent and Received are messages of clients and of the server.
	Sent, Received int
	// Bytes is the size of the conversation.
	Bytes int64
	// Unreached is how many clients were answered 502.
	Unreached int
	// TooLong is how many messages of clients were too long to be recorded; Broken, Lost are the
	// connections that were not recorded to their end, because they broke the protocol and because
	// the recorder fell behind; Unrecorded those beyond the maximum.
	TooLong, Broken, Lost, Unrecorded int
	// Limit is what has ended the recording before its time; "" is nothing.
	Limit string
}

// ErrLost is the error of a recording that lacks something because it fell behind.
var ErrLost = errors.New("the recording lacks what it was too slow for")
