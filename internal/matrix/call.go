package matrix

import (
	"bytes"
	"errors"

	"github.com/polywire/polywire/core"
)

// What calls are about.
const (
	channel  = "svc"
	method   = "double"
	service  = channel + "/" + method
	ownCode  = "ODD"
	ownText  = "odd number"
	ownPlain = "42"

	onlyServers = "they reach only HTTP servers that answer"
	notMarked   = "the answerer does not see that no answer is wanted"
	textOnly    = "callers read only the text"
)

// callID is that of all calls.
var callID = core.CallID{0: 1}

// asked is a call as the endpoint of the caller has it.
type asked struct {
	command core.Command // a Call
	byTopic bool
	ref     []byte // of the call, as the caller hears it again
	caller  *party
}

// call lets a new client of from call the service.
func call(from *row, c core.Command) (a asked, s said) {
	c.Verb, c.Ref, c.Topic = core.Call, ref, []byte(service)
	p := from.connect()
	s = p.say(c)
	if !s.ok {
		return a, s
	}
	a = asked{command: s.command, ref: s.command.Ref, caller: p}
	if rest, found := bytes.CutPrefix(s.command.Topic, []byte(core.CallTopic)); found && s.command.Verb == core.Publish {
		a.byTopic = true
		a.ref, _, _ = bytes.Cut(rest, []byte("/"))
	}
	return a, s
}

// answerer is a client that has offered the service.
type answerer struct {
	*party
	byTopic bool
	as      uint32
}

// answererOf returns a new client of to that offers the service, as the owner of its channel if the format
// has owners. The cell is not empty if it cannot.
func answererOf(to *row) (a answerer, s said) {
	a.party = to.connect()
	s = a.say(core.Command{Verb: core.Offer, Ref: ref, Exclusive: true, Channel: []byte(channel), Services: [][]byte{[]byte(method)}})
	if s.ok {
		a.as = s.command.As
		return a, s
	}
	a.byTopic = true
	return a, a.say(core.Command{Verb: core.Offer, Ref: ref, Services: [][]byte{[]byte(service)}})
}

// ask tells the answerer of a call.
func (a answerer) ask(c core.Command) heard {
	id := callID
	if c.OneWay {
		id = core.CallID{}
	}
	if a.byTopic {
		return a.hear(core.RequestByTopic(id, []byte(service), c.Payload))
	}
	return a.hear(core.Event{Kind: core.Request, Call: id, Topic: []byte(service), As: a.as, Payload: c.Payload, OneWay: c.OneWay})
}

// reply lets the answerer answer, and returns the Reply that its endpoint makes of it.
func (a answerer) reply(p core.Payload, f core.Failure) said {
	s := a.say(core.Command{Verb: core.Reply, Call: callID, Topic: []byte(service), As: a.as, Payload: p, Failure: f})
	if s.ok && s.command.Verb == core.Publish && bytes.HasPrefix(s.command.Topic, []byte(core.ErrorTopic)) {
		s.command.Failure = core.FailureFrom(s.command.Payload)
	}
	return s
}

// end tells the caller how its call has ended.
func (a asked) end(c core.Command) heard {
	if a.byTopic {
		if c.Failure.Failed() {
			return a.fail(c.Failure)
		}
		h := a.caller.hear(core.AnswerByTopic(a.ref, c.Payload))
		if h.err != nil {
			return a.fail(core.Failure{Code: core.Internal})
		}
		return h
	}
	ev := core.Event{Kind: core.Done, Verb: core.Call, Ref: a.ref, Call: callID, Topic: a.command.Topic, As: a.command.As}
	a.caller.hear(ev)
	ev.Kind, ev.Payload = core.Answer, c.Payload
	if c.Failure.Failed() {
		ev.Kind, ev.Failure, ev.Payload = core.Failed, c.Failure, core.Payload{}
	}
	return a.caller.hear(ev)
}

var errNoAnswerer = errors.New("the answerer's format has no words for it")

// asking tells a new answerer of to of a call.
func asking(to *row) func(core.Command) heard {
	return func(c core.Command) heard {
		a, s := answererOf(to)
		if !s.ok {
			return heard{err: errNoAnswerer}
		}
		return a.ask(c)
	}
}

// fail tells a caller by topic that its call has failed.
func (a asked) fail(f core.Failure) heard {
	return a.caller.hear(core.FailureByTopic(a.ref, f))
}

// requests returns the cells of what is asked, without its size.
func requests(from, to *row) []Cell {
	ask := asking(to)
	cells := contents("request", func(p core.Payload) said {
		_, s := call(from, core.Command{Payload: p})
		return s
	}, ask)
	// What cannot be asked fails: the caller is told.
	for i := range cells {
		if cells[i].Outcome == Dropped {
			cells[i].Outcome = Refused
		}
	}

	headers := Cell{Property: "request.headers", Outcome: Whole}
	_, s := call(from, core.Command{Payload: jsonOf(sampleObject), Headers: []byte(headerObject)})
	if failed, ok := s.failed(headers.Property); ok {
		headers = failed
	} else if h := ask(s.command); string(h.event.Headers) != headerObject {
		headers.Outcome, headers.Detail = Lost, onlyServers
	}

	oneWay := Cell{Property: "request.one_way", Outcome: Whole}
	_, s = call(from, core.Command{Payload: jsonOf(sampleObject), OneWay: true})
	if failed, ok := s.failed(oneWay.Property); ok {
		oneWay = failed
	} else if !s.command.OneWay {
		oneWay.Outcome = Unsayable
	} else if h := ask(s.command); !h.event.OneWay {
		oneWay.Outcome, oneWay.Detail = Lost, notMarked
	}
	return append(cells, headers, oneWay)
}

// answers returns the cells of what is answered, without its size.
func answers(from, to *row) []Cell {
	a, s := call(from, core.Command{Payload: jsonOf(sampleObject)})
	if cell, failed := s.failed(""); failed {
		return uncalled("answer", cell)
	}
	cells := contents("answer", func(p core.Payload) said {
		b, s := answererOf(to)
		if s.ok {
			s = b.reply(p, core.Failure{})
		}
		return s
	}, func(c core.Command) heard {
		// Each call has one end.
		a, _ = call(from, core.Command{Payload: jsonOf(sampleObject)})
		return a.end(c)
	})
	for i := range cells {
		cells[i] = cells[i].unanswered()
	}
	return cells
}

// unanswered says what becomes of a call whose answer is dropped.
func (c Cell) unanswered() Cell {
	if c.Outcome == Dropped && c.Detail != "" {
		c.Detail += "; the call fails: timeout"
	}
	return c
}

// uncalled returns the cells of answers to calls that cannot be made.
func uncalled(of string, why Cell) []Cell {
	var cells []Cell
	for _, sample := range samples() {
		why.Property = of + "." + sample.name
		cells = append(cells, why)
	}
	return cells
}

// failures returns the cells of the answerer's own failures.
func failures(from, to *row) []Cell {
	code := failure(from, to, core.Failure{Code: ownCode, Text: ownText})
	number := failure(from, to, core.Failure{Code: ownPlain, Text: ownText})
	cell := func(property string, e ended, whole func(core.Failure) bool, detail string) Cell {
		c := Cell{Property: property, Outcome: Whole}
		switch {
		case e.why != nil:
			c.Outcome, c.Detail = e.why.Outcome, e.why.unanswered().Detail
		case !whole(e.failure):
			c.Outcome, c.Detail = Lost, detail
		}
		return c
	}
	return []Cell{
		cell("failure.code", code, func(f core.Failure) bool { return f.Code == ownCode }, textOnly),
		cell("failure.number", number, func(f core.Failure) bool { return f.Code == ownPlain }, textOnly),
		cell("failure.text", code, func(f core.Failure) bool { return f.Text == ownText }, ""),
	}
}

// ended is how a call has failed, or why it has not.
type ended struct {
	failure core.Failure
	why     *Cell
}

func failure(from, to *row, f core.Failure) ended {
	a, s := call(from, core.Command{Payload: jsonOf(sampleObject)})
	if why, failed := s.failed(""); failed {
		return ended{why: &why}
	}
	b, s := answererOf(to)
	if s.ok {
		s = b.reply(core.Payload{}, f)
	}
	if why, failed := s.failed(""); failed {
		return ended{why: &why}
	}
	h := a.end(s.command)
	if h.event.Kind != core.Failed {
		return ended{why: &Cell{Outcome: Dropped}}
	}
	return ended{failure: h.event.Failure}
}
