package events

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
)

// batch is the body of a request.
type batch struct {
	ID     string  `json:"id"`
	Run    string  `json:"run"`
	Node   string  `json:"node,omitempty"`
	Lost   uint64  `json:"lost"`
	Events []event `json:"events"`
}

// event is an observation as a receiver reads it. docs/events.md describes the fields.
type event struct {
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	At         string   `json:"at"`
	Endpoint   string   `json:"endpoint,omitempty"`
	Protocol   string   `json:"protocol,omitempty"`
	Connection uint64   `json:"connection,omitempty"`
	Remote     string   `json:"remote,omitempty"`
	User       string   `json:"user,omitempty"`
	Opened     string   `json:"opened,omitempty"`
	Verb       string   `json:"verb,omitempty"`
	Topic      string   `json:"topic,omitempty"`
	All        bool     `json:"all,omitempty"`
	Channel    string   `json:"channel,omitempty"`
	Services   []string `json:"services,omitempty"`
	More       int      `json:"more,omitempty"`
	Session    string   `json:"session,omitempty"`
	Restored   bool     `json:"restored,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Message    string   `json:"message,omitempty"`
	LeftOut    uint64   `json:"left_out,omitempty"`
}

// newEvent returns what a receiver reads of an observation.
func newEvent(id string, o *core.Observation) event {
	e := event{
		ID: id, Type: o.Moment.String(), At: stamp(o.At), Connection: o.Connection, Remote: o.Remote, User: o.User,
		Topic: o.Topic, All: o.Moment == core.MomentUnsubscribed && o.Topic == "",
		Channel: o.Channel, Services: o.Services, More: o.More, Restored: o.Restored, Message: o.Text, LeftOut: o.LeftOut,
	}
	if o.Endpoint != nil {
		e.Endpoint, e.Protocol = o.Endpoint.Name, o.Endpoint.Protocol
	}
	if !o.Opened.IsZero() {
		e.Opened = stamp(o.Opened)
	}
	if o.Verb != core.None {
		e.Verb = o.Verb.String()
	}
	if o.Moment == core.MomentDisconnected || o.Moment == core.MomentRefused || o.Text != "" {
		e.Reason = o.Reason.String()
	}
	if o.Session != "" {
		// The key itself opens the session to whoever has it.
		sum := sha256.Sum256([]byte(o.Session))
		e.Session = hex.EncodeToString(sum[:])
	}
	return e
}

// stamp writes a time as RFC 3339 in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// encode returns the body of a request with the events of a sink. lost is how many the receiver has not got since the
// batch before.
func encode(id, run, node string, lost uint64, prefix string, events []waiting) ([]byte, error) {
	b := batch{ID: id, Run: run, Node: node, Lost: lost, Events: make([]event, len(events))}
	for i, w := range events {
		b.Events[i] = newEvent(prefix+strconv.FormatUint(w.number, 10), w.of)
	}
	return json.Marshal(b)
}
