package plugin

import (
	"bytes"
	"slices"

	"github.com/polywire/polywire/core"
)

// outcome is how the usual outcome of a command reads, which a plugin can say with the
// command: then it is not asked. Owned by the loop.
type outcome struct {
	verb  core.Verb // None for a refusal
	ref   []byte
	frame core.Frame
	// borrowed: ref and frame are those of the answer that is being carried out.
	borrowed bool
}

// maxOutcomes bounds the outcomes that are kept; further ones are asked.
const maxOutcomes = 64

// expect carries out what do does, the outcome of which reads as expected if it is the usual
// one; expected may be nil. The outcome may come later: a command that an authorizer is asked
// about takes some time.
func (c *codec) expect(verb core.Verb, ref []byte, expected *core.Frame, do func()) {
	if expected != nil && len(c.outcomes) < maxOutcomes {
		c.outcomes = append(c.outcomes, outcome{verb: verb, ref: ref, frame: *expected, borrowed: true})
	}
	do()
	// Of a refusal nothing is told later.
	c.outcomes = slices.DeleteFunc(c.outcomes, func(o outcome) bool { return o.verb == core.None })
	for i := range c.outcomes {
		if o := &c.outcomes[i]; o.borrowed {
			o.ref, o.frame.Data, o.borrowed = bytes.Clone(o.ref), bytes.Clone(o.frame.Data), false
		}
	}
}

// Expected returns how ev reads if it is an outcome that the plugin has said before. It must
// not overtake events that are asked about.
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

// usual reports whether ev, which is the outcome, is the one that a plugin can expect.
func (o *outcome) usual(ev core.Event) bool {
	switch o.verb {
	case core.Ping:
		return true
	case core.None:
		return ev.Kind == core.Failed
	}
	return ev.Kind == core.Done && !ev.Unheard && ev.Call == core.CallID{}
}
