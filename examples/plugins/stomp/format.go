package main

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

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
	// Host is the virtual host that the client's side asks for; a server of this format has one
	// only.
	Host string `koanf:"host"`
}

// validate checks what the client's side writes into CONNECT, where nothing is escaped.
func (o *options) validate() error {
	var faults []error
	for _, option := range []struct{ name, value string }{{"login", o.Login}, {"passcode", o.Passcode}, {"host", o.Host}} {
		if strings.ContainsAny(option.value, "\r\n\x00") || !utf8.ValidString(option.value) {
			faults = append(faults, errors.New(option.name+": must be one line of text"))
		}
	}
	return errors.Join(faults...)
}

// protocol introduces the format.
func protocol() core.Protocol {
	return core.Protocol{
		Name:     "stomp",
		Listen:   ":15674",
		Path:     "/ws",
		Options:  func() any { return &options{Host: "/"} },
		Validate: func(o any) error { return o.(*options).validate() },
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
