package verify

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin"
	"github.com/polywire/polywire/plugin/contract"
)

// tryout is one made-up connection: what its client sends.
type tryout struct {
	name   string // how the last of its messages was made
	frames []core.Frame
}

// together is how many tryouts are asked at once. As with a broker under load, one message
// of the stream is about many connections.
const together = 32

// try asks the plugin about all tryouts. The error names the first one that breaks it.
func (v *verifier) try(tryouts func(yield func(tryout) bool)) error {
	t := &trial{v: v, random: rand.New(rand.NewPCG(v.Seed, 0))}
	var err error
	tryouts(func(one tryout) bool {
		if t.waiting = append(t.waiting, one); len(t.waiting) == together {
			err = t.flush()
		}
		return err == nil
	})
	if err == nil {
		err = t.flush()
	}
	return err
}

// trial asks about many tryouts. It is used by one goroutine.
type trial struct {
	v       *verifier
	random  *rand.Rand
	conn    uint64
	waiting []tryout
}

// flush asks about the pending tryouts. If the plugin breaks, it asks about each alone.
func (t *trial) flush() error {
	all := t.waiting
	t.waiting = nil
	err := t.ask(all)
	if err == nil {
		return nil
	}
	for _, one := range all {
		if err := t.ask([]tryout{one}); err != nil {
			return fmt.Errorf("%s, behind %s: %w", one.name, shown(one.frames[len(one.frames)-1]), err)
		}
	}
	return fmt.Errorf("among %d connections at once (the first: %s), but behind none alone: %w", len(all), all[0].name, err)
}

// ask asks about connections as a broker does: their messages, the outcomes of their
// commands, and their end.
func (t *trial) ask(all []tryout) error {
	var questions, events, lost, last []contract.Question
	base := t.conn
	t.conn += uint64(len(all))
	for n, one := range all {
		conn := base + uint64(n) + 1000
		questions = append(questions, contract.Question{Kind: contract.Open, Conn: conn})
		for _, f := range one.frames {
			questions = append(questions, contract.Question{Kind: contract.Decode, Conn: conn, Frame: f})
		}
		last = append(last, contract.Question{Kind: contract.Encode, Conn: conn, Event: core.Event{Kind: core.Goodbye}})
		if t.v.facts.stateful {
			last = append(last, contract.Question{Kind: contract.Closed, Conn: conn})
		}
	}
	replies, err := t.send(questions)
	if err != nil {
		return err
	}
	for n, r := range replies {
		for _, c := range r.Commands {
			events = append(events, t.outcome(questions[n].Conn, c)...)
			lost = append(lost, losses(questions[n].Conn, c)...)
		}
	}
	if _, err := t.send(events); err != nil {
		return err
	}
	// A format may end the connection over a loss: it comes behind all else that is tried.
	_, err = t.send(append(lost, last...))
	return err
}

// send asks questions. If the last process has ended, it starts another.
func (t *trial) send(questions []contract.Question) ([]plugin.Reply, error) {
	i, err := t.v.ask()
	if err != nil {
		return nil, err
	}
	replies, err := i.Ask(questions)
	if err != nil {
		t.v.close()
	}
	if wrong, ok := errors.AsType[*plugin.Misreply](err); ok {
		return nil, fmt.Errorf("asked %s: %w", describe(questions[wrong.Question]), err)
	}
	return replies, err
}

// outcome returns the events that a command may lead to, as the engine emits them.
func (t *trial) outcome(conn uint64, c core.Command) []contract.Question {
	tell := func(ev core.Event) contract.Question {
		return contract.Question{Kind: contract.Encode, Conn: conn, Event: ev}
	}
	done := core.Event{Kind: core.Done, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As}
	failed := done
	failed.Kind, failed.Failure = core.Failed, core.Failure{Code: core.Denied, Text: "not for \"you\"\n\u00e9"}
	succeeds := t.random.IntN(4) > 0
	switch c.Verb {
	case core.None:
		return nil
	case core.Leave:
		return []contract.Question{tell(core.Event{Kind: core.Goodbye})}
	case core.Ping:
		return []contract.Question{tell(core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As})}
	}
	if !succeeds {
		return []contract.Question{tell(failed)}
	}
	switch c.Verb {
	case core.Subscribe:
		return append([]contract.Question{tell(done)}, t.messages(c)...)
	case core.Offer:
		return append([]contract.Question{tell(done)}, t.requests(conn, c)...)
	case core.Call:
		return t.answers(tell, c)
	case core.OpenSession, core.RestoreSession:
		return []contract.Question{tell(core.Event{Kind: core.SessionOpened, Verb: c.Verb, Ref: c.Ref, Session: core.Session{Key: "key", Created: time.Unix(1, 0), LastLookup: time.Unix(2, 0), Info: []byte(`{"a":1}`)}})}
	case core.Publish:
		done.Unheard = t.random.IntN(2) == 0
	}
	return []contract.Question{tell(done)}
}

// messages are messages on a topic that was subscribed.
func (t *trial) messages(c core.Command) (all []contract.Question) {
	topic := c.Topic
	if c.Pattern {
		topic = []byte("some/topic")
	}
	for _, p := range payloads() {
		all = append(all, contract.Question{
			Kind:  contract.Message,
			Event: core.Event{Kind: core.Message, Topic: topic, As: c.As, Payload: p, Headers: []byte(`{"a":"b\n"}`)},
		})
	}
	return all
}

// requests are calls of the services that were offered.
func (t *trial) requests(conn uint64, c core.Command) (all []contract.Question) {
	for _, service := range c.Services {
		for _, p := range payloads() {
			all = append(all, contract.Question{Kind: contract.Encode, Conn: conn, Event: core.Event{
				Kind: core.Request, Call: t.call(), Topic: c.AppendService(nil, service), As: c.As, Payload: p, OneWay: t.random.IntN(2) == 0,
			}})
		}
	}
	return all
}

// losses are the events that say that what a command made is gone.
func losses(conn uint64, c core.Command) (all []contract.Question) {
	tell := func(ev core.Event) {
		all = append(all, contract.Question{Kind: contract.Encode, Conn: conn, Event: ev})
	}
	lost := core.Event{Kind: core.OfferLost, As: c.As, Failure: core.Failure{Code: core.Taken, Text: "by \"others\"\n\u00e9"}}
	switch c.Verb {
	case core.Offer:
		names := c.Services
		if c.Exclusive {
			names = [][]byte{c.Channel}
		}
		for _, name := range names {
			lost.Topic = name
			tell(lost)
		}
	case core.OpenSession, core.RestoreSession:
		tell(core.Event{Kind: core.SessionClosed})
	}
	return all
}

// answers are the events that follow a call.
func (t *trial) answers(tell func(core.Event) contract.Question, c core.Command) []contract.Question {
	if c.OneWay {
		return nil
	}
	ev := core.Event{Verb: core.Call, Call: t.call(), Ref: c.Ref, Topic: c.Topic, As: c.As}
	taken, answer := ev, ev
	taken.Kind, answer.Kind = core.Done, core.Answer
	all := payloads()
	answer.Payload = all[t.random.IntN(len(all))]
	return []contract.Question{tell(taken), tell(answer)}
}

func (t *trial) call() (id core.CallID) {
	for n := range id {
		id[n] = byte(t.random.Uint32())
	}
	return id
}

// payloads returns one of each kind that formats differ about.
func payloads() []core.Payload {
	return []core.Payload{
		{Kind: core.JSON, Data: []byte(`{"n":9007199254740993,"s":"\u00e9\n"}`)},
		{Kind: core.JSON, Data: []byte(`"true"`)},
		{Kind: core.Text, Data: []byte("two\nlines, \"quoted\" \x00 \u00e9")},
		{Kind: core.Text},
		{Kind: core.Binary, Data: []byte{0, 0xff, '\n'}},
		{},
	}
}

// shown returns a message in a line.
func shown(f core.Frame) string {
	const most = 80
	data, more := f.Data, ""
	if len(data) > most {
		data, more = data[:most], fmt.Sprintf("… (%d bytes)", len(f.Data))
	}
	switch f.Kind {
	case core.TextFrame:
		return fmt.Sprintf("the text %q%s", data, more)
	case core.BinaryFrame:
		return fmt.Sprintf("the binary message % x%s", data, more)
	}
	return "nothing"
}

func describe(q contract.Question) string {
	switch q.Kind {
	case contract.Open:
		return "to open a connection"
	case contract.Decode:
		return "what " + shown(q.Frame) + " means"
	case contract.Closed:
		return "to forget a connection"
	}
	return fmt.Sprintf("how %s (%s) reads", q.Event.Kind, q.Event.Verb)
}
