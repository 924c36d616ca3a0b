package core

import (
	"encoding/json"
	"sync/atomic"
	"time"
)

// Crossing is a message that a tap on its topic watches, on its way from the publisher to those who hear it.
type Crossing interface {
	// Encoded tells that the message was encoded for up to a number of connections of an endpoint, or why it could
	// not be. f is borrowed. It never waits. Any goroutine.
	Encoded(ep *Endpoint, format Format, f Frame, receivers int, err error)
}

// WatchedOutlet is an [Outlet] that tells a [Crossing] what it delivers.
type WatchedOutlet interface {
	Outlet
	// DeliverWatched is Deliver of a message that is watched.
	DeliverWatched(ev Event, to []Audience, except Link, by Crossing)
}

// Speaker is a [Link] that knows what its client has said.
type Speaker interface {
	// Saying returns the client's message that is carried out now. It is borrowed until the message has been carried
	// out. ok is false if it was not kept: nobody watches, or not since it came. On the link's loop only.
	Saying() (f Frame, ok bool)
}

// TapOptions are what a tap reports.
type TapOptions struct {
	// MaxMessage is how many bytes a message may have that is reported with its data.
	MaxMessage int
	// Every makes it report one of so many messages; 0 is each.
	Every int
	// PerSecond bounds how many messages it reports in a second; 0 is no bound.
	PerSecond int
}

// TapMessage is a message that crosses the broker, as the events of a tap on topics tell of it.
type TapMessage struct {
	// Number counts the messages on the topics of the tap: all events of one have the same, and the numbers that are
	// missing are those of messages that were not reported.
	Number uint64 `json:"number"`
	// Topic is the whole topic, with the prefix of the publisher's endpoint.
	Topic string `json:"topic"`
	// From says who has published it; of a TapPublished only, as User, Remote, Payload, Headers and Encodings.
	From TapFrom `json:"from,omitempty"`
	// Endpoint and Protocol are those of the publisher; of what goes out, those of the receivers.
	Endpoint string `json:"endpoint,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	// User and Remote are the publisher's name and address, if it has them.
	User   string `json:"user,omitempty"`
	Remote string `json:"remote,omitempty"`
	// Payload is how the bytes of the message are to be read: absent, json, text or binary.
	Payload string `json:"payload,omitempty"`
	// Headers are a JSON object; nil for none.
	Headers json.RawMessage `json:"headers,omitempty"`
	// Encodings is for how many formats, endpoints or ways to write its topic it is encoded here; 0 if nobody hears it.
	Encodings int `json:"encodings,omitempty"`
	// Receivers is how many connections it was encoded for. One that hears it by several subscriptions counts
	// for each, and one that does not hear itself counts too.
	Receivers int `json:"receivers,omitempty"`
	// Changes is what the receivers' format does not carry as it was published, for people.
	Changes []string `json:"changes,omitempty"`
}

// TapFrom says who has published a message.
type TapFrom string

// Those who publish.
const (
	FromConnection TapFrom = "connection"
	FromRequest    TapFrom = "request" // an HTTP request to an endpoint
	FromProgram    TapFrom = "program" // the embedding program, or the admin API
	FromBridge     TapFrom = "bridge"
	FromNode       TapFrom = "node"   // of the cluster
	FromBroker     TapFrom = "broker" // about its clients, on a topic of SysTopic
)

// Sampler chooses the messages that a tap reports. Any goroutine.
type Sampler struct {
	// Static.
	every, perSecond uint64

	// Atomic.
	seen    atomic.Uint64
	current atomic.Uint64 // a second, and in the low half how many were chosen in it
}

// NewSampler returns the sampler of a tap.
func NewSampler(o TapOptions) *Sampler {
	return &Sampler{every: uint64(max(1, o.Every)), perSecond: uint64(max(0, o.PerSecond))}
}

// Take counts a message, and reports whether it is chosen.
func (s *Sampler) Take(now time.Time) (number uint64, chosen bool) {
	number = s.seen.Add(1)
	if (number-1)%s.every != 0 {
		return number, false
	}
	if s.perSecond == 0 {
		return number, true
	}
	second := uint64(uint32(now.Unix())) << 32
	for {
		old := s.current.Load()
		next := second + 1
		if old&^(1<<32-1) == second {
			if old&(1<<32-1) >= s.perSecond {
				return number, false
			}
			next = old + 1
		}
		if s.current.CompareAndSwap(old, next) {
			return number, true
		}
	}
}
