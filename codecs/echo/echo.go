// Package echo is the format that returns every message to its sender, as it came: for
// conformance suites and load tests. An echo is a ping whose Ref is the message.
package echo

import "github.com/polywire/polywire/core"

// Protocol introduces the format.
func Protocol() core.Protocol {
	return core.Protocol{
		Name:   "echo",
		Listen: ":9001",
		New:    func(any, int) (core.Format, error) { return Format{}, nil },
	}
}

// Format is the format and, as it keeps nothing of a connection, its codec.
type Format struct{}

var (
	_ core.Format = Format{}
	_ core.Codec  = Format{}
)

// NewCodec returns the format itself.
func (Format) NewCodec() core.Codec { return Format{} }

// Profile allows messages of up to 32 MiB.
func (Format) Profile() core.Profile { return core.Profile{MaxMessage: 32 << 20, Deflate: true} }

// Goodbye returns the close code that fits r, without a text.
func (Format) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), "" }

// Decode turns a message into a ping.
func (Format) Decode(f core.Frame, to core.Sink) error {
	to.Do(core.Command{Verb: core.Ping, Ref: f.Data, As: uint32(f.Kind)})
	return nil
}

// Encode turns a pong into a message.
func (Format) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if ev.Kind != core.Pong {
		return dst, core.NoFrame, nil
	}
	return append(dst, ev.Ref...), core.FrameKind(ev.As), nil
}

// EncodeMessage writes nothing: nobody subscribes to a topic.
func (Format) EncodeMessage(dst []byte, _ core.Event) ([]byte, core.FrameKind, error) {
	return dst, core.NoFrame, nil
}
