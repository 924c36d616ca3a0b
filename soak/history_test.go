package soak

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// history is made up: a publisher and a caller at node 0, a subscriber at node 1, and a node 2.
type history struct{ *ledger }

func newHistory(patience time.Duration) history {
	h := history{newLedger(patience)}
	h.publishes("p", 0, false)
	h.hears("s", 1)
	h.came("s")
	return h
}

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

func (h history) ask(number, answerer int) {
	h.ledger.ask("q", number, service{name: "x/m", node: answerer}, 0)
}

func (h history) answer(number int) {
	h.answered("q", number, questionOf("q", number), "an answer")
}

func (h history) hearOwner(epoch, number int) { h.ledger.hearOwner("s", "c", epoch, number) }

// TestLedger makes up what clients may tell of a cluster that works, and of one that does not.
func TestLedger(t *testing.T) {
	for name, c := range map[string]struct {
		is   string // what is found, "" for nothing
		what func(history)
	}{
		"all is well": {"", func(h history) {
			h.say(3, 1, 2, 3)
			h.ask(1, 1)
			h.answer(1)
			h.open(1, killed)
			h.say(5, 1, 4, 5)
			h.rest()
			h.say(2, 1, 2)
		}},
		"twice": {"message 2 of p twice", func(h history) { h.say(2, 1, 2, 2) }},
		"twice, in a window": {"message 2 of p twice", func(h history) {
			h.open(1, killed)
			h.say(2, 1, 2, 2)
		}},
		"out of order": {"message 1 of p after 2", func(h history) {
			h.open(0, stopped)
			h.say(2, 2, 1)
		}},
		"twice, much later": {"message 1 of p after 3", func(h history) { h.say(3, 1, 2, 3, 1) }},
		"of a connection before, late": {"", func(h history) {
			h.open(0, killed)
			h.say(3, 1)
			h.ledger.hear("s", "p", 2, 3, topicOf("p"))
			h.hear(2)
		}},
		"lost": {"has not heard message 2 of p", func(h history) { h.say(3, 1, 3) }},
		"lost between nodes that were not touched": {"has not heard message 2 of p", func(h history) {
			h.open(2, killed)
			h.say(3, 1, 3)
		}},
		"lost before a window": {"has not heard message 2 of p", func(h history) {
			h.say(2, 1)
			h.open(0, killed)
			h.say(2, 2)
		}},
		"lost after a window": {"has not heard message 4 of p", func(h history) {
			h.say(1, 1)
			h.open(0, killed)
			h.say(2, 2)
			h.rest()
			h.say(2, 2)
		}},
		"lost in a window of two faults, before the second one": {"has not heard message 2 of p", func(h history) {
			h.open(2, killed)
			h.say(2, 1)
			h.open(1, killed)
			h.say(1, 1)
		}},
		"lost in a window": {"", func(h history) {
			h.say(1, 1)
			h.open(2, killed)
			h.open(1, stopped)
			h.say(2)
			h.rest()
			h.say(1, 1)
		}},
		"a new connection begins anew": {"", func(h history) {
			h.say(2, 1, 2)
			h.open(1, killed)
			h.cut("s", 1, errors.New("cut"))
			h.say(2)
			h.came("s")
			h.say(1, 1)
		}},
		"never said":         {"what nobody has said", func(h history) { h.hear(1) }},
		"at another topic":   {"what nobody has said", func(h history) { h.ledger.say("p"); h.ledger.hear("s", "p", 1, 1, "other/t") }},
		"cut in a calm":      {"which runs, has ended", func(h history) { h.cut("s", 1, errors.New("cut")) }},
		"cut by another one": {"which runs, has ended", func(h history) { h.open(0, killed); h.cut("s", 1, errors.New("cut")) }},
		"cut by a stop":      {"which runs, has ended", func(h history) { h.open(1, stopped); h.cut("s", 1, errors.New("cut")) }},

		"a failure": {"failed after", func(h history) { h.ask(1, 1); h.answered("q", 1, "", "no") }},
		"a failure between nodes that were not touched": {"failed after", func(h history) {
			h.open(2, killed)
			h.ask(1, 1)
			h.answered("q", 1, "", "no")
		}},
		"a failure of a call that was made before": {"failed after", func(h history) {
			h.ask(1, 1)
			h.open(1, killed)
			h.answered("q", 1, "", "no")
		}},
		"a failure in a window": {"", func(h history) {
			h.open(1, killed)
			h.ask(1, 1)
			h.rest()
			h.answered("q", 1, "", "no")
		}},
		"a failure of the nearest": {"failed after", func(h history) {
			h.open(1, killed)
			h.ask(1, nearest)
			h.answered("q", 1, "", "no")
		}},
		"a failure of an owner after one fault": {"failed after", func(h history) {
			h.open(2, killed)
			h.ledger.ask("q", 1, service{"x/m", 1, true}, 0)
			h.answered("q", 1, "", "no")
		}},
		"a failure of an owner after two faults": {"", func(h history) {
			h.open(2, killed)
			h.open(2, killed)
			h.ledger.ask("q", 1, service{"x/m", 1, true}, 0)
			h.answered("q", 1, "", "no")
		}},
		"another answer": {"got the answer to", func(h history) {
			h.open(1, killed)
			h.ask(1, 1)
			h.answered("q", 1, questionOf("q", 2), "an answer")
		}},
		"two answers": {"was not made or had ended", func(h history) { h.ask(1, 1); h.answer(1); h.answer(1) }},
		"it hangs": {"hangs", func(h history) {
			h.patience = 0
			h.open(1, killed)
			h.ask(1, 1)
			time.Sleep(time.Millisecond)
			h.late()
		}},
		"its node stands still": {"", func(h history) {
			h.patience = time.Millisecond
			h.open(0, stopped)
			h.stop(0)
			h.ask(1, 1)
			time.Sleep(5 * time.Millisecond)
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
		"an older owner is heard, whose node was not touched": {"heard epoch 1 of c", func(h history) {
			h.own("c", "x", 0)
			h.open(1, killed)
			h.open(2, stopped)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an older owner is heard, whose node ended": {"heard epoch 1 of c", func(h history) {
			h.own("c", "x", 0)
			h.open(0, quit)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an older owner is heard, whose node stood still before": {"heard epoch 1 of c", func(h history) {
			h.open(0, stopped)
			h.rest()
			h.own("c", "x", 0)
			h.own("c", "y", 2)
			h.hearOwner(2, 1)
			h.hearOwner(1, 1)
		}},
		"an older owner is heard, whose node stood still": {"", func(h history) {
			h.own("c", "x", 0)
			h.open(0, stopped)
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
		"two owners, while another node is away": {"two own c", func(h history) {
			h.open(2, killed)
			h.own("c", "x", 0)
			h.own("c", "y", 2)
			h.accepted(1, h.tick())
		}},
		"what was sent before": {"", func(h history) {
			h.own("c", "x", 0)
			sent := h.tick()
			h.own("c", "y", 2)
			h.accepted(1, sent)
		}},
		"an unknown owner": {"what nobody has said", func(h history) { h.hearOwner(1, 1) }},
		"deposed":          {"has lost the channel c", func(h history) { h.open(2, killed); h.own("c", "x", 0); h.deposed(1, "lost") }},
		"deposed after two faults": {"", func(h history) {
			h.open(2, killed)
			h.open(2, killed)
			h.own("c", "x", 0)
			h.deposed(1, "lost")
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
	h.say(2, 1)
	h.ask(1, 1)
	h.open(0, killed)
	h.say(1)
	missing("a message", "message 2 of p", h.arrived())
	h.hear(2)
	missing("a call", "call 1 of q", h.arrived())
	h.answer(1)
	missing("all is there", "", h.arrived())
	h.open(0, stopped)
	missing("what may be lost", "", h.arrived())

	p := h.prove([]route{{"q", "x/m"}}, []string{"c"})
	h.hear(3)
	missing("an old message is no proof", "s does not hear p", p.missing())
	h.say(1, 1)
	missing("a call", "q has no answer of x/m", p.missing())
	h.ask(2, 1)
	h.answered("q", 2, "", "no")
	missing("a failure is no proof", "q has no answer of x/m", p.missing())
	h.ask(3, 1)
	h.answer(3)
	missing("an owner", "nobody owns c", p.missing())
	h.own("c", "x", 0)
	missing("all is proven", "", p.missing())
	h.cut("s", 0, errors.New("cut"))
	missing("who is cut off", "s is not connected", p.missing())
	h.rest()
	if found, _ := h.found(); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
