package matrix

import (
	"errors"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// party is a client with its connection to an endpoint: both sides' codecs, without a socket.
type party struct {
	row    *row
	server core.Codec
	client core.ClientCodec
}

// connect returns a new client, which has read the greeting.
func (r *row) connect() *party {
	p := &party{row: r, server: r.Format.NewCodec(), client: client.ByTopic(r.client.NewClientCodec())}
	p.hear(core.Event{Kind: core.Welcome})
	return p
}

// said is what came of saying a command.
type said struct {
	command core.Command // as the endpoint has decoded it
	frame   core.Frame   // as the client has written it
	ok      bool         // the endpoint has decoded a command
	// Else the client's format has no words for it, or the endpoint has refused it.
	unsayable error
	refused   bool
	told      bool // the client hears that it was refused
	why       core.Failure
}

var errViolation = errors.New("it ends the connection")

// say lets the client say a command.
func (p *party) say(c core.Command) (s said) {
	_, err := p.client.Say(c, func(f core.Frame) { s.frame = f.Clone() })
	if err != nil {
		s.unsayable = err
		return s
	}
	to := sink{p, &s}
	// The decoder may overwrite what it reads.
	if err := p.server.Decode(s.frame.Clone(), to); err != nil {
		s.ok, s.unsayable = false, errViolation
	}
	return s
}

// sink keeps what was decoded.
type sink struct {
	party *party
	said  *said
}

func (k sink) Do(c core.Command) {
	if c.Verb != core.Ping { // else an acknowledgement is due, whatever became of it
		k.said.command, k.said.ok = c.Clone(), true
	}
}

func (k sink) Refuse(_ core.Reason, ref []byte, f core.Failure) {
	k.said.refused, k.said.why = true, f
	if f.Failed() {
		k.said.told = k.party.hear(core.Event{Kind: core.Failed, Verb: core.Publish, Ref: ref, Failure: f}).frame.Kind != core.NoFrame
	}
}

// heard is what came of telling an event.
type heard struct {
	event core.Event
	frame core.Frame
	ok    bool  // the client has heard something
	err   error // why nothing can be written
}

// hear tells the client an event, as its endpoint does.
func (p *party) hear(ev core.Event) (h heard) {
	encode := p.server.Encode
	if ev.Kind == core.Message {
		encode = p.row.Format.EncodeMessage
	}
	data, kind, err := encode(nil, ev)
	if err != nil || kind == core.NoFrame {
		h.err = err
		return h
	}
	h.frame = core.Frame{Kind: kind, Data: data}
	h.err = p.client.Hear(h.frame.Clone(), func(ev core.Event) { h.event, h.ok = ev.Clone(), true })
	return h
}
