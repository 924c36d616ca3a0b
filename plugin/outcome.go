package plugin

import (
	"bytes"
	"slices"

	"github.com/polywire/polywire/core"
)

// outcome is the frame for the usual outcome of a command. A plugin can send it with the
// command; then it is not asked. Owned by the loop.
type outcome struct {
	verb  core.Verb // None for a refusal
	ref   []byte
	frame core.Frame
	// borrowed: ref and frame point into the answer that is being carried out.
	borrowed bool
}

// maxOutcomes bounds the outcomes that are kept; for further ones the plugin is asked.
const maxOutcomes = 64

// expect calls do, which carries out a command. If its outcome is the usual one, the client
// reads expected, which may be nil. The outcome may come later: asking an authorizer about
// a command takes some time.
func (c *codec) expect(verb core.Verb, ref []byte, expected *core.Frame, do func()) {
	if expected != nil && len(c.outcomes) < maxOutcomes {
		c.outcomes = append(c.outcomes, outcome{verb: verb, ref: ref, frame: *expected, borrowed: true})
	}
	do()
	// A refusal has no later outcome.
	c.outcomes = slices.DeleteFunc(c.outcomes, func(o outcome) bool { return o.verb == core.None })
	for i := range c.outcomes {
		if o := &c.outcomes[i]; o.borrowed {
			o.ref, o.frame.Data, o.borrowed = bytes.Clone(o.ref), bytes.Clone(o.frame.Data), false
		}
	}
}

// Expected returns the frame for ev if ev is an outcome that the plugin has predicted. It
// must not overtake events that are in flight.
func (c *codec) Expected(ev core.Event) (f core.Frame, known bool) {
	i := slices.IndexFunc(c.outcomes, func(o outcome) bool { return o.isFor(ev) })
	if i < 0 {
		return core.Frame{}, false
	}
	o := c.outcomes[i]
	c.outcomes = slices.Delete(c.outcomes, i, i+1)
	return o.frame, o.usual(ev) && c.events.Load() == 0
}

// isFor reports whether ev is the outcome, usual or not.
func (o *outcome) isFor(ev core.Event) bool {
	if ev.Kind == core.Pong {
		return o.verb == core.Ping && bytes.Equal(o.ref, ev.Ref)
	}
	return (ev.Kind == core.Done || ev.Kind == core.Failed) && ev.Verb == o.verb && bytes.Equal(o.ref, ev.Ref)
}

// usual reports whether ev, which is the outcome, is the one that a plugin can predict.
func (o *outcome) usual(ev core.Event) bool {
	switch o.verb {
	case core.Ping:
		return true
	case core.None:
		return ev.Kind == core.Failed
	}
	return ev.Kind == core.Done && !ev.Unheard && ev.Call == core.CallID{}
}
