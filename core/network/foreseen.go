package network

import (
	"bytes"
	"slices"

	"github.com/polywire/polywire/core"
)

// foreseen is how the usual outcome of a command reads, which a codec says with the
// command: then it need not be asked.
type foreseen struct {
	verb  core.Verb // None for a refusal
	ref   []byte
	frame core.Frame
	// borrowed: ref and frame are those of the answer that is being carried out.
	borrowed bool
}

// maxForeseen bounds the outcomes that are awaited; further ones are asked.
const maxForeseen = 64

// foresee carries out what do does, the outcome of which reads as expected if it is the
// usual one; expected may be nil. The outcome may come later: a command that an
// authorizer is asked about is away for some time.
func (c *conn) foresee(verb core.Verb, ref []byte, expected *core.Frame, do func()) {
	r := c.relay
	if expected != nil && len(r.foreseen) < maxForeseen {
		r.foreseen = append(r.foreseen, foreseen{verb: verb, ref: ref, frame: *expected, borrowed: true})
	}
	do()
	// Of a refusal nothing is told later.
	r.foreseen = slices.DeleteFunc(r.foreseen, func(f foreseen) bool { return f.verb == core.None })
	for i := range r.foreseen {
		if f := &r.foreseen[i]; f.borrowed {
			f.ref, f.frame.Data, f.borrowed = bytes.Clone(f.ref), bytes.Clone(f.frame.Data), false
		}
	}
}

// tellRemotely tells ev: as it was foreseen, if it was; but it must not overtake events
// that are away.
func (c *conn) tellRemotely(ev core.Event) {
	r := c.relay
	i := slices.IndexFunc(r.foreseen, func(f foreseen) bool { return f.isFor(ev) })
	if i < 0 {
		c.ask(ev)
		return
	}
	f := r.foreseen[i]
	r.foreseen = slices.Delete(r.foreseen, i, i+1)
	if f.usual(ev) && r.telling.Load() == 0 {
		c.say(f.frame)
	} else {
		c.ask(ev)
	}
}

// isFor reports whether ev is the outcome, usual or not.
func (f *foreseen) isFor(ev core.Event) bool {
	if ev.Kind == core.Pong {
		return f.verb == core.Ping && bytes.Equal(f.ref, ev.Ref)
	}
	return (ev.Kind == core.Done || ev.Kind == core.Failed) && ev.Verb == f.verb && bytes.Equal(f.ref, ev.Ref)
}

// usual reports whether ev, which is the outcome, is the one that a codec can foresee.
func (f *foreseen) usual(ev core.Event) bool {
	switch f.verb {
	case core.Ping:
		return true
	case core.None:
		return ev.Kind == core.Failed
	}
	return ev.Kind == core.Done && !ev.Unheard && ev.Call == core.CallID{}
}
