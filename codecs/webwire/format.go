package webwire

import (
	"encoding/binary"
	"time"

	"github.com/polywire/polywire/core"
)

// acceptConfHead is the length in bytes of accept-conf without the sub-protocol.
const acceptConfHead = 11

// Format is the format of one endpoint. It is made by [Protocol]'s New. All
// methods may be called from any goroutine.
type Format struct {
	// Static after construction.
	options      Options
	acceptConf   []byte
	defaultTopic []byte
}

var _ core.Format = (*Format)(nil)

func newFormat(o Options) *Format {
	conf := []byte{typeAcceptConf, 2, 0}
	conf = binary.LittleEndian.AppendUint32(conf, uint32(o.ReadTimeout/time.Millisecond))
	conf = binary.LittleEndian.AppendUint32(conf, uint32(o.MessageBufferSize))
	return &Format{options: o, acceptConf: append(conf, o.SubProtocol...), defaultTopic: []byte(o.DefaultTopic)}
}

// NewCodec returns the codec of a new connection. Connections have no state in
// this format.
func (f *Format) NewCodec() core.Codec { return codec{f} }

// Goodbye returns the close code that fits r and a short text for people. The
// original sends no close frame; its clients treat every end alike.
func (f *Format) Goodbye(r core.Reason) (code uint16, text string) {
	switch r {
	case core.ReasonNormal:
		return r.CloseCode(), ""
	case core.ReasonDrain:
		return r.CloseCode(), "server shutting down"
	}
	return r.CloseCode(), r.String()
}

// Profile returns the habits of the original, with the two limits that clients
// are told at their start.
func (f *Format) Profile() core.Profile {
	return core.Profile{
		MaxMessage:    f.options.MessageBufferSize,
		IdleTimeout:   f.options.ReadTimeout,
		PingsCount:    true,
		SameOrigin:    true,
		PlainStatus:   400,
		OptionsStatus: 200,
	}
}
