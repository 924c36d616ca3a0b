package soak

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// history is made up: a publisher p, an owner o that publishes, a caller q of x/m at node 1, of own/m,
// which has an owner, of held/m, whose answers take time, and of shared, all at node 0; a subscriber s
// at node 1; and a node 2.
type history struct{ *ledger }

func newHistory(patience time.Duration) history {
	h := history{newLedger(patience, "c")}
	h.publishes("p", 0, false)
	h.publishes("o", 0, true)
	h.hears("s", 1)
	for _, s := range []service{x, own, held, near} {
		h.asks("q", 0, s)
	}
	h.came("s")
	return h
}

var (
	x    = service{name: "x/m", node: 1}
	own  = service{name: "own/m", node: 1, owned: true}
	held = service{name: "held/m", node: 1, held: true}
	near = service{name: shared, node: nearest}
)

// say says n messages, of which the subscriber hears those that are listed, counted from 1.
func (h history) say(n int, heard ...int) {
	before := h.pubs["p"].number
	for range n {
		h.ledger.say("p")
	}
	for _, i := range heard {
		h.hear(before + i)
	}
}

func (h history) hear(number int) { h.ledger.hear("s", "p", 1, number, topicOf("p")) }

func (h history) ask(number int, s service) { h.ledger.ask("q", number, s) }

func (h history) answer(number int) { h.answered("q", number, questionOf("q", number), "an answer") }

func (h history) fail(number int, why string) { h.answered("q", number, "", why) }

func (h history) hearOwner(epoch, number int) { h.ledger.hearOwner("s", "c", epoch, number) }

// do does something to a node, or another pair, with a weight.
func (h history) do(what fault, node int, weight ...int) *incident {
	w := &incident{what: what, node: node, other: (node + 1) % size}
	if len(weight) > 0 {
		w.weight = weight[0]
	}
	h.open(w)
	return w
}

// TestLedger makes up what clients may tell of a cluster that works, and of one that does not.
func TestLedger(t *testing.T) {
	for name, c := range map[string]struct {
		is   string // what is found, "" for nothing
		what func(history)
	}{
		"all is well": {"", func(h history) {
			h.say(3, 1, 2, 3)
			h.ask(1, x)
			h.answer(1)
			w := h.do(killed, 1)
			h.say(5, 1, 4, 5)
			h.recovered(w)
			h.say(3, 2, 3)
		}},
		"twice": {"message 2 of p twice", func(h history) { h.say(2, 1, 2, 2) }},
		"twice, while its node is away": {"message 2 of p twice", func(h history) {
			h.do(killed, 1)
			h.say(2, 1, 2, 2)
		}},
		"out of order": {"message 1 of p after 2", func(h history) {
			h.do(stopped, 0)
			h.say(2, 2, 1)
		}},
		"twice, from a server that stood still": {"message 2 of p twice", func(h history) {
			h.say(1, 1)
			h.do(serverStopped, 0, 2)
			h.say(3, 1, 3, 1)
		}},
		"late, from a server that stood still": {"message 2 of p after 4", func(h history) {
			h.say(1, 1)
			h.do(serverStopped, 0, 2)
			h.say(3, 3, 1)
		}},
		"twice, much later": {"message 1 of p twice", func(h history) { h.say(3, 1, 2, 3, 1) }},
		"of a connection before, late": {"", func(h history) {
			h.do(killed, 0)
			h.say(3, 1)
			h.ledger.hear("s", "p", 2, 3, topicOf("p"))
			h.hear(2)
		}},
		"lost": {"has not heard message 2 of p", func(h history) { h.say(3, 1, 3) }},
		"lost, while another node is away": {"has not heard message 2 of p", func(h history) {
			h.do(killed, 2)
			h.say(3, 1, 3)
		}},
		"lost before its node goes": {"has not heard message 2 of p", func(h history) {
			h.say(2, 1)
			h.do(killed, 0)
			h.say(2, 2)
		}},
		"lost after its node has come back": {"has not heard message 4 of p", func(h history) {
			h.say(1, 1)
			w := h.do(killed, 0)
			h.say(1)
			h.recovered(w)
			h.say(3, 1, 3)
		}},
		"lost before it has come back": {"", func(h history) {
			h.say(1, 1)
			w := h.do(killed, 0)
			h.say(2)
			h.recovered(w)
			h.say(3, 2, 3)
		}},
		"lost, after one of two was undone": {"", func(h history) {
			h.say(1, 1)
			w := h.do(killed, 0)
			h.do(stopped, 1)
			h.recovered(w)
			h.say(3, 1, 3)
		}},
		"lost before the second one": {"has not heard message 2 of p", func(h history) {
			h.do(killed, 2)
			h.say(2, 1)
			h.do(killed, 1)
			h.say(1, 1)
		}},
		"heard before it is undone, which proves nothing": {"", func(h history) {
			h.say(1, 1)
			h.do(stopped, 1)
			h.say(3, 1, 3)
		}},
		"a new connection begins anew": {"", func(h history) {
			h.say(2, 1, 2)
			since := h.tick()
			h.do(killed, 1)
			h.cut("s", 1, since, errors.New("cut"))
			h.say(2)
			h.came("s")
			h.say(1, 1)
		}},
		"lost while the server is away":  {"", func(h history) { h.say(1, 1); h.do(serverKilled, 0, 2); h.say(3, 1, 3) }},
		"lost while it is isolated":      {"", func(h history) { h.say(1, 1); h.do(isolated, 1, 2); h.say(3, 1, 3) }},
		"lost while another is isolated": {"has not heard message 3 of p", func(h history) { h.say(1, 1); h.do(isolated, 2, 2); h.say(3, 1, 3) }},
		"lost while they are parted":     {"", func(h history) { h.say(1, 1); h.do(parted, 0, 2); h.say(3, 1, 3) }},
		"lost while others are parted":   {"has not heard message 3 of p", func(h history) { h.say(1, 1); h.do(parted, 1, 2); h.say(3, 1, 3) }},
		"lost while one is muted":        {"", func(h history) { h.say(1, 1); h.do(muted, 0, 2); h.say(3, 1, 3) }},
		"of an owner, lost while channels may be lost": {"", func(h history) {
			h.ledger.say("o")
			h.ledger.hear("s", "o", 1, 1, topicOf("o"))
			h.do(killed, 2, 1)
			h.do(stopped, 2, 1)
			h.ledger.say("o")
			h.ledger.say("o")
			h.ledger.hear("s", "o", 1, 3, topicOf("o"))
		}},
		"of an owner, lost after one fault": {"has not heard message 2 of o", func(h history) {
			h.ledger.say("o")
			h.ledger.hear("s", "o", 1, 1, topicOf("o"))
			h.do(killed, 2, 1)
			h.ledger.say("o")
			h.ledger.say("o")
			h.ledger.hear("s", "o", 1, 3, topicOf("o"))
		}},

		"never said":         {"what nobody has said", func(h history) { h.hear(1) }},
		"at another topic":   {"what nobody has said", func(h history) { h.ledger.say("p"); h.ledger.hear("s", "p", 1, 1, "other/t") }},
		"cut in quiet":       {"which runs, has ended", func(h history) { h.cut("s", 1, h.tick(), errors.New("cut")) }},
		"cut by another one": {"which runs, has ended", func(h history) { h.do(killed, 0); h.cut("s", 1, 0, errors.New("cut")) }},
		"cut by a stop":      {"which runs, has ended", func(h history) { h.do(stopped, 1); h.cut("s", 1, 0, errors.New("cut")) }},
		"cut by a server":    {"which runs, has ended", func(h history) { h.do(serverKilled, 1); h.cut("s", 1, 0, errors.New("cut")) }},
		"cut after its node has come back": {"which runs, has ended", func(h history) {
			w := h.do(killed, 1)
			h.recovered(w)
			w.over = h.tick()
			h.cut("s", 1, h.tick(), errors.New("cut"))
		}},

		"a failure": {"failed after", func(h history) { h.ask(1, x); h.fail(1, "no") }},
		"a failure, while another node is away": {"failed after", func(h history) {
			h.do(killed, 2)
			h.ask(1, x)
			h.fail(1, "no")
		}},
		"a failure of a call that was made before": {"failed after", func(h history) {
			h.ask(1, x)
			h.do(killed, 1)
			h.fail(1, "no")
		}},
		"a failure while the node is away": {"", func(h history) {
			w := h.do(killed, 1)
			h.ask(1, x)
			h.recovered(w)
			h.fail(1, "no")
			h.ask(2, x)
			h.fail(2, "no")
		}},
		"a failure after an answer": {"failed after", func(h history) {
			w := h.do(killed, 1)
			h.recovered(w)
			h.ask(1, x)
			h.answer(1)
			h.ask(2, x)
			h.fail(2, "no")
		}},
		"a failure of the nearest": {"failed after", func(h history) {
			h.do(killed, 1)
			h.ask(1, near)
			h.fail(1, "no")
		}},
		"a failure of the nearest, while the server is away": {"failed after", func(h history) {
			h.do(serverKilled, 0, 2)
			h.ask(1, near)
			h.fail(1, "no")
		}},
		"a failure of an owner after one fault": {"failed after", func(h history) {
			h.do(killed, 2, 1)
			h.ask(1, own)
			h.fail(1, "no")
		}},
		"a failure of an owner after two faults": {"", func(h history) {
			h.do(killed, 2, 1)
			h.do(killed, 2, 1)
			h.ask(1, own)
			h.fail(1, "no")
		}},
		"a held call ends with its answerer": {"", func(h history) {
			h.ask(1, held)
			h.do(killed, 1)
			h.fail(1, "gone")
		}},
		"a held call times out": {"timed out", func(h history) {
			h.ask(1, held)
			h.do(killed, 1)
			h.fail(1, "timeout")
		}},
		"a held call dies with the server": {"", func(h history) {
			h.ask(1, held)
			h.do(serverKilled, 0, 2)
			h.ask(2, held)
			h.fail(1, "timeout")
			h.fail(2, "timeout")
		}},
		"a held call fails": {"failed after", func(h history) { h.ask(1, held); h.fail(1, "gone") }},
		"another answer": {"got the answer to", func(h history) {
			h.do(killed, 1)
			h.ask(1, x)
			h.answered("q", 1, questionOf("q", 2), "an answer")
		}},
		"two answers": {"was not made or had ended", func(h history) { h.ask(1, x); h.answer(1); h.answer(1) }},
		"it hangs": {"hangs", func(h history) {
			h.patience = 0
			h.do(killed, 1)
			h.ask(1, x)
			time.Sleep(time.Millisecond)
			h.late()
		}},
		"a held call hangs": {"hangs", func(h history) {
			h.ask(1, held)
			h.do(killed, 1)
			h.calls[callKey{"q", 1}].began = time.Now().Add(-2 * time.Minute)
			h.late()
		}},
		"its node stands still": {"", func(h history) {
			h.patience = time.Minute
			h.do(stopped, 0)
			h.stop(0)
			h.ask(1, x)
			h.calls[callKey{"q", 1}].began = time.Now().Add(-time.Hour)
			h.standing(0).since = time.Now().Add(-2 * time.Hour)
			h.calls[callKey{"q", 1}].waited = time.Hour
			h.goOn(0)
			h.late()
		}},

		"owners": {"", func(h history) {
			h.own("c", "x", 0)
			h.accepted(1, h.tick())
			h.hearOwner(1, 1)
			h.hearOwner(1, 2)
			h.own("c", "y", 2)
			h.own("d", "z", 2)
			h.accepted(2, h.tick())
			h.hearOwner(2, 1)
		}},
		"an older owner is heard": {"heard epoch 1 of c", func(h history) {
			h.own("c", "x", 0)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an older owner is heard, between whom nothing was done": {"heard epoch 1 of c", func(h history) {
			h.own("c", "x", 0)
			h.do(killed, 2)
			h.do(parted, 1)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an older owner is heard, whose node stood still before": {"heard epoch 1 of c", func(h history) {
			h.say(1, 1)
			w := h.do(stopped, 0)
			h.recovered(w)
			h.say(1, 1)
			h.own("c", "x", 0)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an older owner is heard, whose node stood still": {"", func(h history) {
			h.own("c", "x", 0)
			h.do(stopped, 0)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an owner's message twice": {"message 1 of epoch 1 of c after 1", func(h history) {
			h.own("c", "x", 0)
			h.hearOwner(1, 1)
			h.hearOwner(1, 1)
		}},
		"two owners": {"two own c", func(h history) {
			h.own("c", "x", 0)
			h.own("c", "y", 2)
			h.accepted(1, h.tick())
		}},
		"two owners, while something is done": {"two own c", func(h history) {
			h.do(killed, 0, 2)
			h.do(isolated, 0, 2)
			h.do(serverKilled, 0, 2)
			h.own("c", "x", 0)
			h.own("c", "y", 2)
			h.accepted(1, h.tick())
		}},
		"two owners, after one stood still": {"two own c", func(h history) {
			h.own("c", "x", 0)
			h.do(stopped, 0)
			h.own("c", "y", 2)
			h.accepted(1, h.tick())
		}},
		"two owners, after another one stood still": {"two own c", func(h history) {
			h.own("c", "x", 0)
			h.do(stopped, 1)
			h.own("c", "y", 2)
			h.accepted(1, h.tick())
		}},
		"two owners, of an emptied Redis": {"", func(h history) {
			h.own("c", "x", 0)
			h.do(emptied, 0, 2)
			h.own("c", "y", 2)
			h.accepted(1, h.tick())
		}},
		"lost, of an emptied Redis": {"has not heard message 2 of p", func(h history) { h.do(emptied, 0, 2); h.say(3, 1, 3) }},
		"what was sent before": {"", func(h history) {
			h.own("c", "x", 0)
			sent := h.tick()
			h.own("c", "y", 2)
			h.accepted(1, sent)
		}},
		"an unknown owner": {"what nobody has said", func(h history) { h.hearOwner(1, 1) }},
		"a channel lost":   {"has lost the channel c", func(h history) { h.do(killed, 2, 1); h.own("c", "x", 0); h.lostChannel(1, "lost") }},
		"a channel lost after two faults": {"", func(h history) {
			h.do(killed, 2, 1)
			h.do(killed, 2, 1)
			h.own("c", "x", 0)
			h.lostChannel(1, "lost")
		}},
		"a channel lost without the server": {"", func(h history) { h.own("c", "x", 0); h.do(serverKilled, 0, 2); h.lostChannel(1, "lost") }},
		"a channel lost after a server was back": {"has lost the channel c", func(h history) {
			w := h.do(serverKilled, 0, 2)
			h.recovered(w)
			h.own("c", "z", 1)
			h.ask(1, x)
			h.answer(1)
			h.ask(2, held)
			h.answer(2)
			h.say(1, 1)
			h.settle()
			h.own("c", "x", 0)
			h.lostChannel(2, "lost")
		}},
	} {
		h := newHistory(time.Minute)
		c.what(h)
		switch found, _ := h.found(); {
		case c.is == "" && len(found) > 0:
			t.Errorf("%s: found %q", name, found)
		case c.is != "" && (len(found) != 1 || !strings.Contains(found[0], c.is)):
			t.Errorf("%s: found %q, want %q", name, found, c.is)
		}
	}
}

// TestLedgerWaits checks what the ledger waits for before a fault, and after it.
func TestLedgerWaits(t *testing.T) {
	h := newHistory(time.Minute)
	missing := func(what, part string, is string) {
		t.Helper()
		if part == "" && is != "" || !strings.Contains(is, part) {
			t.Errorf("%s: %q, want %q", what, is, part)
		}
	}
	missing("at first", "nobody owns c", h.unproven())
	h.say(2, 1)
	h.ask(1, x)
	h.ask(2, held)
	w := h.do(killed, 1, 2)
	h.say(1)
	missing("a message", "message 2 of p", h.arrived())
	h.hear(2)
	missing("a call", "call 1 of q", h.arrived())
	h.answer(1)
	missing("all is there, but for what may be lost and what is held", "", h.arrived())
	other := h.do(stopped, 1)
	missing("what may be lost", "", h.arrived())
	h.fail(2, "gone")

	h.recovered(w)
	h.own("c", "x", 0)
	h.settle()
	if w.over == 0 || other.over != 0 {
		t.Errorf("over are %v and %v, want the first one, as the other one cuts all that it has", w.over, other.over)
	}
	h.recovered(other)
	h.hear(3)
	missing("an old message is no proof", "s does not hear p", h.unproven())
	h.say(1, 1)
	missing("a call", "q has no answer of x/m", h.unproven())
	h.ask(3, x)
	h.fail(3, "no")
	missing("a failure is no proof", "q has no answer of x/m", h.unproven())
	h.ask(4, x)
	h.answer(4)
	h.ask(5, held)
	h.answer(5)
	h.ask(6, own)
	h.answer(6)
	missing("an owner that publishes", "s does not hear o", h.unproven())
	h.ledger.say("o")
	h.ledger.hear("s", "o", 1, 1, topicOf("o"))
	h.settle()
	missing("a new owner", `no new owner of ["c"]`, h.unproven())
	h.own("c", "y", 1)
	h.settle()
	missing("an owner at another node", "nobody owns c at a; nobody owns c at c", h.unproven())
	h.own("c", "x", 0)
	h.own("c", "z", 2)
	missing("all is proven", "", h.unproven())

	h.say(2, 1)
	h.ask(7, x)
	h.mark()
	missing("after a mark", "message 6 of p", h.arrived())
	h.hear(6)
	missing("after a mark", "call 7 of q", h.arrived())
	h.answer(7)
	missing("after a mark", "", h.arrived())
	if found, _ := h.found(); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
