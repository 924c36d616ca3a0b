package matrix

import (
	"bytes"
	"strings"

	"github.com/polywire/polywire/core"
)

// What messages are about.
const (
	sampleTopic  = "news/today"
	lastLevel    = "é,1"
	headerObject = `{"traceparent":"00-01-02-01"}`
	longTopic    = 300 // bytes
	withEscapes  = "spelt with escapes"
	noTopic      = "receivers do not see on which topic it is"
)

// restricted is a format whose endpoint can be told to which topics clients may publish.
type restricted interface {
	// Publishes returns the topics that clients may publish to, for people, and one of them; nothing if
	// it is all topics, or none.
	Publishes() (where, topic string)
}

// topic returns a topic to which the clients may publish, if there is one.
func (r *row) topic() string {
	if f, ok := r.Format.(restricted); ok {
		if _, topic := f.Publishes(); topic != "" {
			return topic
		}
	}
	return sampleTopic
}

// ref is the Ref of commands: their outcome is wanted.
var ref = []byte("ref")

// failed returns the cell of what was not decoded; ok is false if it was.
func (s said) failed(property string) (_ Cell, ok bool) {
	c := Cell{Property: property}
	switch {
	case s.unsayable != nil:
		c.Outcome, c.Detail = Unsayable, s.unsayable.Error()
	case s.refused && s.told:
		c.Outcome, c.Detail = Refused, s.why.Text
	case !s.ok:
		c.Outcome, c.Detail = Dropped, s.why.Text
	default:
		return c, false
	}
	return c, true
}

// publish lets a new client of from publish.
func publish(from *row, c core.Command) said {
	c.Verb, c.Ref = core.Publish, ref
	return from.connect().say(c)
}

// delivered tells a new client of to what was published.
func delivered(to *row, c core.Command) heard {
	return to.connect().hear(core.Event{Kind: core.Message, Topic: c.Topic, Payload: c.Payload, Headers: c.Headers})
}

// unwritten is the cell of a message that cannot be written for the receiver.
func unwritten(property string, err error) Cell {
	c := Cell{Property: property, Outcome: Dropped}
	if err != nil {
		c.Detail = err.Error()
	}
	return c
}

// hasJSON reports whether a text that is said becomes JSON.
func hasJSON(say func(core.Payload) said) bool {
	s := say(text(samplePlain))
	return s.ok && s.command.Payload.Kind == core.JSON
}

// contents returns the cells of all samples, of a way to say them and one to hear them.
func contents(of string, say func(core.Payload) said, hear func(core.Command) heard) []Cell {
	var cells []Cell
	natural := hasJSON(say)
	for _, sample := range samples() {
		property, p := of+"."+sample.name, sample.payload
		if natural && sample.natural.Kind != core.Absent {
			p = sample.natural
		}
		cells = append(cells, contentCell(property, sample, say(p), hear))
	}
	return cells
}

func contentCell(property string, sample sample, s said, hear func(core.Command) heard) Cell {
	if c, ok := s.failed(property); ok {
		return c
	}
	if !sample.meant(s.command.Payload) {
		return Cell{Property: property, Outcome: Unsayable}
	}
	h := hear(s.command)
	if !h.ok {
		return unwritten(property, h.err)
	}
	c := Cell{Property: property}
	c.Outcome, c.Detail = sample.became(h.event.Payload, s.frame.Data, h.frame.Data)
	return c
}

// messages returns the cells of what is published, without its size.
func messages(from, to *row) []Cell {
	topic := []byte(from.topic())
	cells := contents("message", func(p core.Payload) said {
		return publish(from, core.Command{Topic: topic, Payload: p})
	}, func(c core.Command) heard { return delivered(to, c) })

	carried := func(property string, c core.Command, judge func(s said, h heard) (Outcome, string)) {
		s := publish(from, c)
		cell, failed := s.failed(property)
		if !failed {
			if h := delivered(to, s.command); h.ok {
				cell.Outcome, cell.Detail = judge(s, h)
			} else {
				cell = unwritten(property, h.err)
			}
		}
		cells = append(cells, cell)
	}
	object := jsonOf(sampleObject)
	carried("message.headers", core.Command{Topic: topic, Payload: object, Headers: []byte(headerObject)}, func(_ said, h heard) (Outcome, string) {
		if string(h.event.Headers) == headerObject {
			return Whole, ""
		}
		return Lost, ""
	})
	named := func(s said, h heard) (Outcome, string) {
		switch {
		case len(h.event.Topic) == 0:
			return Lost, noTopic
		case !bytes.Equal(h.event.Topic, s.command.Topic):
			return Changed, "as " + string(h.event.Topic)
		}
		return Whole, ""
	}
	carried("message.topic", core.Command{Topic: topic, Payload: object}, named)
	carried("message.odd_topic", core.Command{Topic: append(append(bytes.Clone(topic), '/'), lastLevel...), Payload: object}, func(s said, h heard) (Outcome, string) {
		o, detail := named(s, h)
		if o == Whole && from.Protocol != to.Protocol && !bytes.Contains(h.frame.Data, []byte(lastLevel)) {
			return Changed, withEscapes
		}
		return o, detail
	})
	carried("message.long_topic", core.Command{Topic: append(append(bytes.Clone(topic), '/'), strings.Repeat("x", longTopic)...), Payload: object}, named)
	return cells
}
