package main

import (
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// defaultMaxMessage is the biggest frame in bytes if the endpoint does not say.
const defaultMaxMessage = 1 << 20

// options are what an endpoint of this format can set.
type options struct {
	// Login and Passcode are what a client must show in CONNECT. If both are empty
	// nothing is asked, and what clients show is ignored.
	Login    string `koanf:"login"`
	Passcode string `koanf:"passcode"`
}

// protocol introduces the format.
func protocol() core.Protocol {
	return core.Protocol{
		Name:    "stomp",
		Listen:  ":15674",
		Path:    "/ws",
		Options: func() any { return new(options) },
		New: func(o any, maxMessage int) (core.Format, error) {
			if maxMessage <= 0 {
				maxMessage = defaultMaxMessage
			}
			return newFormat(*o.(*options), maxMessage), nil
		},
	}
}

// format is the format of one endpoint. All methods may be called from any goroutine.
type format struct {
	// Static after construction.
	options  options
	maxFrame int // bytes of a frame, and of what the transactions of a connection hold
	labels   *labels

	// Atomic. messages counts the MESSAGE frames, which is where their ids come from.
	messages atomic.Uint64
}

var _ core.Format = (*format)(nil)

func newFormat(o options, maxFrame int) *format {
	return &format{options: o, maxFrame: maxFrame, labels: newLabels()}
}

// NewCodec returns the codec of a new connection, which has state.
func (f *format) NewCodec() core.Codec {
	return &codec{format: f, in: splitter{max: f.maxFrame}}
}

// Goodbye returns the close code that fits r and a short text for people; STOMP itself asks
// for none. An ERROR frame has said more before.
func (f *format) Goodbye(r core.Reason) (code uint16, text string) {
	if r == core.ReasonNormal {
		return r.CloseCode(), ""
	}
	return r.CloseCode(), r.String()
}

// Profile returns the habits of the format. WebSocket pings stand in for the server's
// heart-beats: a codec has no timers.
func (f *format) Profile() core.Profile {
	return core.Profile{
		MaxMessage:   defaultMaxMessage,
		PingInterval: 25 * time.Second,
		PongTimeout:  60 * time.Second,
		Deflate:      true,
		Subprotocols: []string{"v12.stomp", "v11.stomp"},
	}
}
