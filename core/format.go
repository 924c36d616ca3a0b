package core

import (
	"bytes"
	"time"
)

// FrameKind is the kind of a WebSocket data message.
type FrameKind uint8

// The kinds of frame. NoFrame, returned by an encoder, means that the format
// has nothing to say.
const (
	NoFrame FrameKind = iota
	TextFrame
	BinaryFrame
)

// Frame is one whole client message. Data is borrowed; the decoder may overwrite it.
// The data of a TextFrame is valid UTF-8; that of a BinaryFrame is any bytes.
type Frame struct {
	Kind FrameKind
	Data []byte
}

// Clone returns a frame with bytes of its own.
func (f Frame) Clone() Frame { return Frame{Kind: f.Kind, Data: bytes.Clone(f.Data)} }

// Sink receives what a codec decodes. The codec calls it on the connection's
// own loop, from within Decode; events may be encoded before a call returns.
type Sink interface {
	// Do hands one command to the engine.
	Do(Command)
	// Refuse counts a message that the codec cannot or will not turn into a
	// command. If f is a failure, the client is told: the codec's Encode gets a
	// Failed event with ref and f.
	Refuse(r Reason, ref []byte, f Failure)
}

// Violation is the error with which a codec ends its connection: the client broke
// the format in a way from which the format does not recover.
type Violation struct {
	Reason Reason
	Err    error
}

func (v *Violation) Error() string { return v.Reason.String() + ": " + v.Err.Error() }

func (v *Violation) Unwrap() error { return v.Err }

// Codec translates for one connection. It is sans-I/O and is used on one
// goroutine at a time. A codec without state of its own may be shared by all
// connections of its endpoint.
type Codec interface {
	// Decode turns one client message into commands, usually one. A returned
	// error ends the connection, with the reason of a [Violation] or else
	// ReasonMalformed.
	Decode(f Frame, to Sink) error
	// Encode appends ev to dst as one message of the format, and returns the extended
	// buffer and the kind of frame; NoFrame (and dst unchanged) if the format has no
	// message for it. A [Violation] ends the connection after that message, for formats
	// that report some failures and then close. Any other error means that the event
	// cannot be written in this format; it is dropped and counted.
	Encode(dst []byte, ev Event) ([]byte, FrameKind, error)
}

// Stateless is a codec without state. Its Decode may be called on any goroutine, even while
// events are encoded. The sink is then not the connection's, so a command has had no effect
// yet when Do returns. Big messages are decoded off the loop with it.
type Stateless interface {
	Codec
	// Stateless does nothing.
	Stateless()
}

// Opener is a codec that issues commands for a new connection, such as
// subscriptions that every client of the endpoint has.
type Opener interface {
	// Open is called once, before the Welcome, with the connection's number.
	Open(conn uint64, to Sink)
}

// Format is one endpoint's wire format, shared by all its connections. All
// methods may be called from any goroutine.
type Format interface {
	// NewCodec returns the codec of a new connection.
	NewCodec() Codec
	// EncodeMessage is Encode for a Message event. The result must be the same for every
	// connection of the endpoint: it is called once for all subscribers with the same As.
	EncodeMessage(dst []byte, ev Event) ([]byte, FrameKind, error)
	// Goodbye returns the close code and reason text (at most 123 bytes) with
	// which the format ends a connection; code 0 ends it without a close frame.
	Goodbye(r Reason) (code uint16, text string)
	// Profile returns how the format behaves below its messages.
	Profile() Profile
}

// Profile describes how a format's original server behaves below its messages. The
// values are defaults where an endpoint has a setting for them.
type Profile struct {
	// MaxMessage is the biggest client message in bytes.
	MaxMessage int
	// PingInterval is the time between pings to the client; 0 for none.
	PingInterval time.Duration
	// PongTimeout is how long the client may go without a pong; 0 is no limit.
	PongTimeout time.Duration
	// IdleTimeout is how long the client may go without a message; 0 is no limit.
	IdleTimeout time.Duration
	// IdleCheck makes the server check IdleTimeout only at multiples of it,
	// counted from the opening; 0 checks all the time.
	IdleCheck time.Duration
	// PingsCount makes a WebSocket ping or pong count as a message for IdleTimeout.
	PingsCount bool
	// CloseReply is the code that answers a client's close frame; 0 repeats the client's.
	CloseReply uint16
	// Subprotocol makes the upgrade select the one subprotocol that the client
	// offers and refuse (400) an upgrade that offers several.
	Subprotocol bool
	// Subprotocols are the names of the format's versions, best first: the upgrade
	// selects the first that the client offers, and none if it offers none of them.
	Subprotocols []string
	// Deflate accepts permessage-deflate (RFC 7692) from clients that offer it.
	Deflate bool
	// SameOrigin makes the upgrade refuse (403) pages of other origins.
	SameOrigin bool
	// CORS makes HTTP answers that refuse an upgrade readable for pages of any origin.
	CORS bool
	// HTTP11 makes the upgrade refuse (426) requests of HTTP/1.0.
	HTTP11 bool
	// PlainStatus is the HTTP status of a plain GET of the endpoint; 0 is 400.
	PlainStatus int
	// OptionsStatus is the HTTP status, with an empty body, of an OPTIONS request of the
	// endpoint; 0 answers it like a GET.
	OptionsStatus int
}

// Protocol describes a built-in format: its name in the configuration, the original's
// defaults, and its options.
type Protocol struct {
	// Name is the value of `protocol:` in the configuration.
	Name string
	// Listen and Path are the original's defaults; Path "" is any path.
	Listen, Path string
	// Options returns a pointer to a new options struct that holds the
	// defaults; its fields have `koanf` tags. Nil if there are no options.
	Options func() any
	// Validate returns what is wrong with the options; nil if it cannot be wrong.
	Validate func(options any) error
	// New makes the format of one endpoint. options is what Options returned,
	// filled in; max is the endpoint's max_message_size.
	New func(options any, max int) (Format, error)
}

// Default makes the format with the protocol's own options.
func (p Protocol) Default() (Format, error) {
	var options any
	if p.Options != nil {
		options = p.Options()
	}
	return p.New(options, 0)
}
