package matrix

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/polywire/polywire/core"
)

// Details of what clients have words for.
const (
	// AsOwner: only the owner of a channel does that.
	AsOwner = "as owner"

	viaTopic = "by topic"
)

// FormatProperties are the properties of formats, in the order of their cells.
func FormatProperties() []string {
	return []string{
		"max_message", "publish", "publish_acknowledged", "publish_refusal_told", "publish_unheard_told", "subscribe", "patterns",
		"unsubscribe", "subscribe_acknowledged", "hears_itself", "sees_topics", "own", "call", "answer", "call_accepted_told",
		"no_service_told", "sessions", "bytes", "null", "headers", "utf16", "one_way",
	}
}

// facts returns the cells of a format.
func (r *row) facts() []Cell {
	if r.client == nil {
		cells := []Cell{{Property: "max_message", Outcome: Yes, Limit: r.MaxMessage}}
		for _, property := range FormatProperties()[1:] {
			cells = append(cells, Cell{Property: property, Outcome: Unknown})
		}
		return cells
	}
	var cells []Cell
	for _, property := range FormatProperties() {
		c := r.fact(property)
		c.Property = property
		cells = append(cells, c)
	}
	return cells
}

func yes(is bool) Cell {
	if is {
		return Cell{Outcome: Yes}
	}
	return Cell{Outcome: No}
}

func (r *row) fact(property string) Cell {
	topic := []byte(r.topic())
	object := core.Command{Topic: topic, Payload: jsonOf(sampleObject)}
	switch property {
	case "max_message":
		return Cell{Outcome: Yes, Limit: r.MaxMessage}
	case "publish":
		return r.publishes(object)
	case "publish_acknowledged":
		return yes(r.told(object, core.Event{Kind: core.Done}))
	case "publish_refusal_told":
		return yes(r.told(object, core.Event{Kind: core.Failed, Failure: core.Failure{Code: core.Denied}}))
	case "publish_unheard_told":
		// An acknowledgement that is the same for both says nothing of it.
		return yes(r.told(object, core.Event{Kind: core.Done, Unheard: true}) && !r.told(object, core.Event{Kind: core.Done}))
	case "subscribe":
		return r.says(core.Command{Verb: core.Subscribe, Topic: topic})
	case "patterns":
		return r.says(core.Command{Verb: core.Subscribe, Topic: []byte("news/+"), Pattern: true})
	case "unsubscribe":
		return r.says(core.Command{Verb: core.Unsubscribe, Topic: topic})
	case "subscribe_acknowledged":
		return yes(r.outcomeHeard(core.Command{Verb: core.Subscribe, Topic: topic}))
	case "hears_itself":
		return yes(r.client.HearsItself())
	case "sees_topics":
		return yes(r.client.NamesTopics())
	case "own":
		return r.says(core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel)})
	case "call":
		a, s := call(r, core.Command{Payload: jsonOf(sampleObject)})
		return byTopic(s, a.byTopic)
	case "answer":
		a, s := answererOf(r)
		if s.ok {
			s = a.reply(jsonOf(sampleObject), core.Failure{})
		}
		if c := byTopic(s, a.byTopic); c.Outcome == No || a.byTopic {
			return c
		}
		return Cell{Outcome: Yes, Detail: AsOwner}
	case "call_accepted_told":
		return yes(r.accepted())
	case "no_service_told":
		return r.noService()
	case "sessions":
		return yes(r.connect().say(core.Command{Verb: core.RestoreSession, Ref: ref, Key: []byte("key")}).ok)
	case "headers":
		object.Headers = []byte(headerObject)
		return r.carries(object, func(c core.Command) bool { return string(c.Headers) == headerObject })
	case "one_way":
		_, s := call(r, core.Command{Payload: jsonOf(sampleObject), OneWay: true})
		return yes(s.ok && s.command.OneWay)
	}
	for _, sample := range samples() {
		if sample.name == property {
			return r.carries(core.Command{Topic: topic, Payload: sample.payload}, func(c core.Command) bool { return sample.meant(c.Payload) })
		}
	}
	return Cell{Outcome: Unknown}
}

// publishes says to what the clients may publish.
func (r *row) publishes(c core.Command) Cell {
	s := publish(r, c)
	switch {
	case s.refused:
		return Cell{Outcome: No, Detail: s.why.Text}
	case !s.ok:
		return Cell{Outcome: No}
	case s.command.AsOwner:
		return Cell{Outcome: Yes, Detail: AsOwner}
	}
	if f, ok := r.Format.(restricted); ok {
		where, _ := f.Publishes()
		return Cell{Outcome: Yes, Detail: where}
	}
	return Cell{Outcome: Yes}
}

// says reports whether clients have words for a command, and if not what comes closest.
func (r *row) says(c core.Command) Cell {
	c.Ref = ref
	codec := r.client.NewClientCodec()
	_, err := codec.Say(c, func(core.Frame) {})
	if unsayable, ok := errors.AsType[*core.Unsayable](err); ok {
		return Cell{Outcome: No, Detail: unsayable.Closest}
	}
	return yes(err == nil)
}

// carries reports whether a publish, or where clients may not publish a call, is decoded with what is meant.
func (r *row) carries(c core.Command, meant func(core.Command) bool) Cell {
	s := publish(r, c)
	if s.refused {
		_, s = call(r, core.Command{Payload: c.Payload, Headers: c.Headers})
	}
	cell := yes(s.ok && meant(s.command))
	if bytes.Contains(s.frame.Data, []byte(binaryObject)) && cell.Outcome == Yes {
		cell.Detail = binaryObject + "…}"
	}
	return cell
}

// told reports whether a publisher hears an outcome of its publish, whether or not it may publish.
func (r *row) told(c core.Command, ev core.Event) bool {
	p := r.connect()
	c.Verb, c.Ref = core.Publish, ref
	s := p.say(c)
	if !s.ok {
		return false
	}
	ev.Verb, ev.Ref, ev.Topic, ev.As = core.Publish, s.command.Ref, s.command.Topic, s.command.As
	return p.hear(ev).ok
}

// outcomeHeard reports whether a client hears that its command succeeded.
func (r *row) outcomeHeard(c core.Command) bool {
	p := r.connect()
	c.Ref = ref
	s := p.say(c)
	return s.ok && p.hear(core.Event{Kind: core.Done, Verb: s.command.Verb, Ref: s.command.Ref, Topic: s.command.Topic, As: s.command.As}).ok
}

// byTopic is the cell of calls and answers.
func byTopic(s said, byTopic bool) Cell {
	switch {
	case !s.ok:
		return Cell{Outcome: No, Detail: s.why.Text}
	case byTopic:
		return Cell{Outcome: Yes, Detail: viaTopic}
	}
	return Cell{Outcome: Yes}
}

// accepted reports whether a caller hears that its call was taken, before it is answered.
func (r *row) accepted() bool {
	a, s := call(r, core.Command{Payload: jsonOf(sampleObject)})
	return s.ok && !a.byTopic && a.caller.hear(core.Event{Kind: core.Done, Verb: core.Call, Ref: a.ref, Call: callID, Topic: a.command.Topic, As: a.command.As}).ok
}

// noService says how a caller hears that nobody answers.
func (r *row) noService() Cell {
	a, s := call(r, core.Command{Payload: jsonOf(sampleObject)})
	if !s.ok {
		return Cell{Outcome: No}
	}
	var h heard
	if f := (core.Failure{Code: core.NoService}); a.byTopic {
		h = a.end(core.Command{Failure: f})
	} else {
		// It is not accepted first.
		h = a.caller.hear(core.Event{Kind: core.Failed, Verb: core.Call, Ref: a.ref, Topic: a.command.Topic, As: a.command.As, Failure: f})
	}
	switch h.event.Kind {
	case core.Failed:
		return yes(h.ok)
	case core.Answer:
		return Cell{Outcome: No, Detail: "as the answer " + string(core.AppendText(nil, h.event.Payload))}
	}
	return Cell{Outcome: No}
}

// Size formats a number of bytes for people.
func Size(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n) + "B"
}
