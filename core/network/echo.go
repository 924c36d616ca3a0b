package network

import "github.com/polywire/polywire/core"

// Echo is the protocol that returns every message to its sender, as it came: for
// conformance suites and load tests. An echo is a ping whose Ref is the message.
func Echo() core.Protocol {
	return core.Protocol{
		Name:   "echo",
		Listen: ":9001",
		New:    func(any, int) (core.Format, error) { return echo{}, nil },
	}
}

type echo struct{}

var (
	_ core.Format = echo{}
	_ core.Codec  = echo{}
)

func (echo) NewCodec() core.Codec { return echo{} }

func (echo) Profile() core.Profile { return core.Profile{MaxMessage: 32 << 20, Deflate: true} }

func (echo) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), "" }

func (echo) Decode(f core.Frame, to core.Sink) error {
	to.Do(core.Command{Verb: core.Ping, Ref: f.Data, As: uint32(f.Kind)})
	return nil
}

func (echo) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if ev.Kind != core.Pong {
		return dst, core.NoFrame, nil
	}
	return append(dst, ev.Ref...), core.FrameKind(ev.As), nil
}

func (echo) EncodeMessage(dst []byte, _ core.Event) ([]byte, core.FrameKind, error) {
	return dst, core.NoFrame, nil
}
