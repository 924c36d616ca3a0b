package stocking

import (
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// Options are the settings of a stocking endpoint.
type Options struct {
	// UnknownRoute is the result, as JSON, of a call of a route that nobody
	// answers; empty answers with an error instead. The original's default is {}.
	UnknownRoute string `koanf:"unknown_route"`
}

// Protocol introduces the format.
func Protocol() core.Protocol {
	return core.Protocol{
		Name:    "stocking",
		Listen:  ":12345",
		Path:    "/ws",
		Options: func() any { return &Options{UnknownRoute: "{}"} },
		Validate: func(options any) error {
			if r := options.(*Options).UnknownRoute; r != "" && !rawjson.Valid([]byte(r)) {
				return fmt.Errorf("unknown_route: %q is not JSON", r)
			}
			return nil
		},
		New: func(options any, _ int) (core.Format, error) {
			return &Format{unknownRoute: []byte(options.(*Options).UnknownRoute)}, nil
		},
	}
}

// Format is the stocking wire format. All methods may be called from any goroutine.
type Format struct {
	// Static after construction.
	unknownRoute []byte
}

var (
	_ core.Format = (*Format)(nil)
	_ core.Codec  = (*Format)(nil)
	_ core.Opener = (*Format)(nil)
)

// NewCodec returns the codec of a new connection. Connections have no state in this
// format: the format itself is the codec of all.
func (f *Format) NewCodec() core.Codec { return f }

var _ core.Stateless = (*Format)(nil)

// Stateless marks the codec as stateless.
func (f *Format) Stateless() {}

// Profile returns the habits of the original server: it looks every 60 s, from the
// connection's start, whether a message came in the last 60 s. WebSocket pings do
// not count.
func (f *Format) Profile() core.Profile {
	return core.Profile{
		MaxMessage:  1 << 20,
		IdleTimeout: time.Minute,
		IdleCheck:   time.Minute,
	}
}

// Goodbye returns the close code that fits r; the original just cuts the connection.
func (f *Format) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), r.String() }
