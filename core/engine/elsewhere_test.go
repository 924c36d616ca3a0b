package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// far is an owner and a caller that is no connection of this process.
type far struct {
	party party
	slow  bool
	asked []question
	over  []core.CallID
	ended []outcome
}

var (
	_ owner  = (*far)(nil)
	_ caller = (*far)(nil)
)

func (f *far) callParty() *party { return &f.party }
func (f *far) admits(int) bool   { return !f.slow }
func (f *far) callOver(c *call)  { f.over = append(f.over, c.id) }

func (f *far) ask(q question) {
	q.service, q.payload = slices.Clone(q.service), q.payload.Clone()
	f.asked = append(f.asked, q)
}

func (f *far) callEnded(_ *call, o outcome) {
	o.answer = o.answer.Clone()
	f.ended = append(f.ended, o)
}

// An owner need not be a connection: what it owns is refused to connections, and the calls
// of its services reach it and end as all others do.
func TestOwnerElsewhere(t *testing.T) {
	w := newWorld(t, 1)
	e := w.engine
	s := w.site(core.Endpoint{TopicPrefix: "in/"})
	x, y := s.connect(0), s.connect(0)
	f := new(far)
	c := &channel{owner: f, name: "in/a/c", names: newNames([][]byte{b("m")}), services: make([]service, 1)}
	if r := e.addChannel(c); r.Failed() {
		t.Fatal(r)
	}
	wants(t, "its topics", x.do(pub("a/c/t", "m"), pubAsOwner("a/c", "a/c/t")), "failed publish a/c/t not_owner; failed publish a/c/t not_owner")
	wants(t, "its channel", x.do(own("a/c")), "failed offer taken")
	wants(t, "above it", x.do(own("a")), "failed offer not_owner")
	wants(t, "within it", x.do(own("a/c/d"), share("a/c/s")), "failed offer not_owner; failed offer not_owner")

	wants(t, "a call", x.do(ask("a/c/m", "q")), "done call a/c/m@7 #r")
	q := f.asked[0]
	if string(q.service) != "in/a/c/m" || string(q.payload.Data) != "q" || q.byTopic {
		t.Errorf("asked %+v", q)
	}
	if k := e.calls.take(q.call, y.peer.(*peer), nil); k != nil {
		t.Error("somebody else may answer")
	}
	e.end(e.calls.take(q.call, f, nil), outcome{answer: text("a")})
	w.pump()
	wants(t, "the answer", x.said(), "answer a/c/m@7 #r =a")
	f.slow = true
	wants(t, "it is slow", x.do(ask("a/c/m", "q")), "failed call a/c/m@7 #r overloaded")
	f.slow = false

	x.do(ask("a/c/m", "q"))
	x.gone(false)
	if len(f.over) != 2 || f.over[1] != f.asked[1].call {
		t.Errorf("told of the end of %x", f.over)
	}
	y.do(ask("a/c/m", "q"))
	y.said()
	e.removeChannel(c)
	_, asked := e.calls.leave(&f.party)
	for _, k := range asked {
		e.end(k, outcome{refusal: refusedGone})
	}
	w.pump()
	wants(t, "it is gone", y.said(), "failed call a/c/m@7 #r gone")
	wants(t, "nobody owns it", y.do(pub("a/c/t", "m")), "done publish a/c/t unheard")
	y.gone(false)
	wantEmpty(t, w.engine)
}

// A caller need not be a connection: it is told the outcome its own way.
func TestCallerElsewhere(t *testing.T) {
	w := newWorld(t, 1)
	e := w.engine
	y := w.site(core.Endpoint{TopicPrefix: "in/"}).connect(0)
	y.do(share("s"))
	f := new(far)
	a := e.targetOf(b("in/s"), b("in/s"))
	place := func(timeout time.Duration) {
		id, r := e.calls.add(&call{caller: f, answerer: a.owner, service: a.service, title: a.title}, 2, w.clock(), timeout)
		if r.Failed() {
			f.ended = append(f.ended, outcome{refusal: r})
			return
		}
		a.owner.ask(question{call: id, service: b("in/s"), payload: text("q"), as: a.as})
		w.pump()
	}
	place(time.Second)
	wants(t, "the request", y.do(reply(y.asked(), "a")), "request s =q; done reply")
	place(time.Second)
	w.pass(2 * time.Second)
	place(time.Minute)
	place(time.Minute)
	place(time.Minute)
	y.gone(false)
	place(time.Minute)
	want := []refusal{{}, refusedTimeout, refusedTooMany, refusedGone, refusedGone, refusedGone}
	if len(f.ended) != len(want) {
		t.Fatalf("%d calls ended, want %d", len(f.ended), len(want))
	}
	for i, o := range f.ended {
		if o.refusal != want[i] {
			t.Errorf("call %d: %v, want %v", i, o.refusal, want[i])
		}
	}
	if got := string(f.ended[0].answer.Data); got != "a" {
		t.Errorf("answered %q", got)
	}
	wantEmpty(t, w.engine)
}
