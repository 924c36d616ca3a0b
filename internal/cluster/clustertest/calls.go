package clustertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// serves says which services m begins or ceases to offer.
func (m *member) serves(on bool, names ...string) {
	var changes []core.Service
	for _, name := range names {
		changes = append(changes, core.Service{Name: name, On: on})
	}
	m.Serve(changes)
}

// knows waits until m knows that other has exactly these services, which are sorted.
func (m *member) knows(t testing.TB, other *member, services ...string) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("%s knows the %d services of %s", m.name, len(services), other.name), func() bool {
		return slices.Equal(m.servicesOf(other.ID), services)
	})
}

// testServices: every node knows the services of all others, also those from before it came.
func testServices(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	a.serves(true, "x")
	b.knows(t, a, "x")
	a.serves(true, "y/z", "", "a b.*>%", "Ünï")
	b.knows(t, a, "", "a b.*>%", "x", "y/z", "Ünï")
	a.serves(false, "x", "")
	b.knows(t, a, "a b.*>%", "y/z", "Ünï")
	a.Serve([]core.Service{{Name: "y/z"}, {Name: "w", On: true}})
	b.knows(t, a, "a b.*>%", "w", "Ünï")
	b.serves(true, "w")
	a.knows(t, b, "w")

	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprintf("many/%04d/with-a-long-name", i)
	}
	b.serves(true, names...)
	c := w.node(t, "c")
	c.knows(t, a, "a b.*>%", "w", "Ünï")
	c.knows(t, b, append(slices.Clone(names), "w")...)
	a.knows(t, b, append(slices.Clone(names), "w")...)
	b.serves(false, names...)
	c.knows(t, b, "w")
	a.knows(t, b, "w")
	c.serves(true, "late")
	a.knows(t, c, "late")
	b.knows(t, c, "late")
}

// meet lets nodes know each other.
func (w *world) meet(t testing.TB, all ...*member) {
	t.Helper()
	for _, m := range all {
		m.serves(true, "here")
	}
	for _, m := range all {
		for _, other := range all {
			if m != other {
				m.knows(t, other, "here")
			}
		}
	}
}

// testCalls: a call comes to the node that is asked, and its answers to who has asked.
func testCalls(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	w.meet(t, a, b, c)
	ask := func(p core.Payload, service string) core.CallID {
		t.Helper()
		id := core.NewCallID()
		if f := a.Ask(b.ID, core.Question{Call: id, Service: []byte(service), Payload: p, Timeout: 1500 * time.Millisecond}); f.Failed() {
			t.Fatalf("asking %q: %v", service, f)
		}
		coretest.Eventually(t, "b is asked "+service, func() bool { _, ok := b.call(id); return ok })
		got, _ := b.call(id)
		if got.From != a.ID || string(got.Service) != service || !same(got.Payload, p) || got.Timeout != 1500*time.Millisecond {
			t.Errorf("b is asked %.300v", got)
		}
		return id
	}
	answered := func(id core.CallID, n int) Answered {
		t.Helper()
		coretest.Eventually(t, "a has its answer", func() bool { return len(a.answersTo(id)) >= n })
		return a.answersTo(id)[n-1]
	}
	for name, p := range payloads() {
		id := ask(p, "here")
		b.Answer(a.ID, id, core.Outcome{Answer: p})
		if got := answered(id, 1); got.From != b.ID || got.Failure.Failed() || !same(got.Payload, p) {
			t.Errorf("%s is answered by %.300v", name, got)
		}
	}
	for _, service := range []string{"", "a b/c", "x.y", "*", "Ünï\r\n", "%"} {
		id := ask(text("x"), service)
		b.Answer(a.ID, id, core.Outcome{Answer: text("y")})
		answered(id, 1)
	}
	for _, f := range []core.Failure{
		{Code: core.NoService}, {Code: "mine", Text: "of two\r\nlines, with 100% ü "}, {Code: "404", Text: " "}, {Code: "a b: c\n", Text: "%41"},
	} {
		id := ask(text("x"), "here")
		b.Answer(a.ID, id, core.Outcome{Failure: f, Reason: core.ReasonUnwritable})
		if got := answered(id, 1); got.Failure != f || got.Reason != core.ReasonUnwritable || got.Payload.Size() > 0 {
			t.Errorf("the failure %q comes as %+v", f, got)
		}
	}

	// Late and forged answers come with the name of who gives them: the engine knows whom it
	// has asked.
	id := ask(text("x"), "here")
	c.Answer(a.ID, id, core.Outcome{Answer: text("forged")})
	if got := answered(id, 1); got.From != c.ID {
		t.Errorf("the answer of c is one of %s", got.From)
	}
	b.Answer(a.ID, id, core.Outcome{Answer: text("right")})
	b.Answer(a.ID, id, core.Outcome{Answer: text("late")})
	if got := answered(id, 3); got.From != b.ID || string(got.Payload.Data) != "late" {
		t.Errorf("the late answer is %+v", got)
	}

	// A call that wants no answer, and one that is not waited for any more.
	if f := a.Ask(b.ID, core.Question{Service: []byte("one-way"), Payload: text("x")}); f.Failed() {
		t.Errorf("a one-way call: %v", f)
	}
	coretest.Eventually(t, "b is asked without a call", func() bool { return len(b.asks("one-way")) > 0 })
	if got := b.asks("one-way"); got[0].Call != (core.CallID{}) || got[0].From != a.ID {
		t.Errorf("a one-way call is %+v", got[0])
	}
	id = ask(text("x"), "here")
	a.Cancel(b.ID, id)
	coretest.Eventually(t, "b is told that nobody waits", func() bool { return b.isCancelled(a.ID, id) })

	// Calls of one goroutine come in their order.
	for i := range 500 {
		if f := a.Ask(b.ID, core.Question{Service: []byte("order"), Payload: text("%d", i)}); f.Failed() {
			t.Fatalf("call %d: %v", i, f)
		}
	}
	coretest.Eventually(t, "all calls come", func() bool { return len(b.asks("order")) == 500 })
	for i, got := range b.asks("order") {
		if string(got.Payload.Data) != fmt.Sprint(i) {
			t.Fatalf("call %d is %q", i, got.Payload.Data)
		}
	}
}

// testGoneCalls: a call to a node that is gone ends: by Gone, or at once.
func testGoneCalls(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	w.meet(t, a, b)
	id := core.NewCallID()
	if f := a.Ask(b.ID, core.Question{Call: id, Service: []byte("here"), Timeout: time.Minute}); f.Failed() {
		t.Fatal(f)
	}
	b.kill()
	coretest.Eventually(t, "b is gone", func() bool { return a.goneTimes(b.ID) > 0 })
	for _, to := range []core.NodeID{b.ID, "n-nobody-1"} {
		if f := a.Ask(to, core.Question{Call: core.NewCallID(), Service: []byte("here"), Timeout: time.Minute}); !f.Failed() {
			t.Errorf("a node that is not there, %s, can be asked", to)
		}
	}
	a.Answer(b.ID, id, core.Outcome{Answer: text("nobody gets it")})
	a.Cancel(b.ID, id)
}

// testGone: who leaves is gone at once, who dies soon, and each once; who comes again is
// another node.
func testGone(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	w.meet(t, a, b, c)
	began := time.Now()
	b.leave()
	for _, m := range []*member{a, c} {
		coretest.Eventually(t, m.name+" sees that b has left", func() bool { return m.goneTimes(b.ID) > 0 })
	}
	t.Logf("who leaves is gone after %v", time.Since(began))
	began = time.Now()
	c.kill()
	coretest.Eventually(t, "a sees that c is dead", func() bool { return a.goneTimes(c.ID) > 0 })
	t.Logf("who is killed is gone after %v", time.Since(began))
	if a.goneTimes(b.ID) != 1 || a.goneTimes(c.ID) != 1 {
		t.Errorf("b is gone %d times, c %d times", a.goneTimes(b.ID), a.goneTimes(c.ID))
	}
	again := w.node(t, "c")
	if again.ID == c.ID {
		t.Error("a node that starts again has the id of before")
	}
	again.serves(true, "again")
	a.knows(t, again, "again")
	again.knows(t, a, "here")
}
