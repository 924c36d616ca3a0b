package wubsub

import (
	"time"

	"github.com/polywire/polywire/core"
)

// Protocol introduces the format. It has no options.
func Protocol() core.Protocol {
	return core.Protocol{
		Name:   "wubsub",
		Listen: ":9190",
		New:    func(any, int) (core.Format, error) { return new(Format), nil },
	}
}

// Format is the wubsub wire format. The zero value is ready for use; it must
// not be copied after that. All methods may be called from any goroutine.
type Format struct{ codec codec }

var _ core.Format = (*Format)(nil)

// NewCodec returns the codec of a new connection. Connections have no state in
// this format: they all share one, which may be used from any goroutine.
func (f *Format) NewCodec() core.Codec { return &f.codec }

// EncodeMessage appends the ps-recv of a Message event.
func (f *Format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return f.codec.Encode(dst, ev)
}

// Goodbye returns the close code that fits r and a short text for people. The
// text is empty where the original server's is: for a message over the limit,
// and for a client that leaves.
func (f *Format) Goodbye(r core.Reason) (code uint16, text string) {
	switch r {
	case core.ReasonNormal, core.ReasonTooLarge:
		return r.CloseCode(), ""
	case core.ReasonDrain:
		return r.CloseCode(), "server shutting down"
	}
	return r.CloseCode(), r.String()
}

// Profile returns the habits of the original server, with a higher limit on messages: its
// 512 bytes came from a library and not from the format.
func (f *Format) Profile() core.Profile {
	return core.Profile{
		MaxMessage:   1 << 20,
		PingInterval: 54 * time.Second,
		PongTimeout:  60 * time.Second,
		PlainStatus:  400,
	}
}
