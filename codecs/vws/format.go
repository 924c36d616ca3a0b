package vws

import (
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
)

// Format is the format of one endpoint. It is made by [Protocol]'s New. All
// methods may be called from any goroutine.
type Format struct {
	// Static after construction.
	send            policy
	initial         [][]byte // patterns
	subscribePrefix string
	maxEvent        int // bytes; 0 for no bound
	maxMessage      int // bytes
	drainHard       bool
}

var _ core.Format = (*Format)(nil)

// newFormat returns the format for options that are valid.
func newFormat(o Options, maxMessage int) *Format {
	f := &Format{subscribePrefix: o.SubscribePrefix, maxEvent: o.MaxEventSize, maxMessage: maxMessage, drainHard: o.DrainClose == DrainHard}
	f.send, _ = parsePolicy(o.AllowSend)
	for _, pattern := range o.InitialSubscriptions {
		f.initial = append(f.initial, []byte(pattern))
	}
	return f
}

// NewCodec returns the codec of a new connection. It has no state: one codec may serve all
// connections, from any goroutine.
func (f *Format) NewCodec() core.Codec { return codec{f} }

// Goodbye returns the original's words where it has some, and else the close
// code that fits r and a short text for people.
func (f *Format) Goodbye(r core.Reason) (code uint16, text string) {
	switch r {
	case core.ReasonNormal:
		text = ""
	case core.ReasonDrain:
		if f.drainHard {
			return 0, ""
		}
		text = "Server shutting down"
	case core.ReasonTooLarge:
		// The original counts the byte at which it stops to read.
		text = fmt.Sprintf("read limited at %d bytes", f.maxMessage+1)
	default:
		text = r.String()
	}
	return r.CloseCode(), text
}

// Profile returns the habits of the original: it pings every 30 s and waits 10 s
// for the pong.
func (f *Format) Profile() core.Profile {
	return core.Profile{
		MaxMessage:   maxMessage,
		PingInterval: 30 * time.Second,
		PongTimeout:  40 * time.Second,
		Deflate:      true,
		SameOrigin:   true,
		HTTP11:       true,
		PlainStatus:  426,
	}
}
