package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// leads counts who leads on the nodes of a wire.
type leads struct {
	now    atomic.Int64
	atOnce atomic.Int64 // times that more than one led
	terms  chan int     // the numbers of nodes that begin
	causes chan error   // why they ended
	last   atomic.Pointer[context.Context]
	stops  []context.CancelFunc // end the leads of nodes
	ended  []<-chan struct{}    // closed when Lead has returned
}

// lead lets all nodes lead a name until the test ends.
func lead(t *testing.T, w *wire, name string) *leads {
	l := &leads{terms: make(chan int, 100), causes: make(chan error, 100)}
	var all sync.WaitGroup
	for i, n := range w.nodes {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		l.stops, l.ended = append(l.stops, stop), append(l.ended, ended)
		all.Go(func() {
			defer close(ended)
			n.engine.Lead(ctx, name, func(ctx context.Context) {
				if l.now.Add(1) > 1 {
					l.atOnce.Add(1)
				}
				l.last.Store(&ctx)
				l.terms <- i
				<-ctx.Done()
				l.now.Add(-1)
				l.causes <- context.Cause(ctx)
			})
		})
	}
	t.Cleanup(func() {
		for _, stop := range l.stops {
			stop()
		}
		all.Wait()
		if n := l.atOnce.Load(); n > 0 {
			t.Errorf("more than one led at once, %d times", n)
		}
	})
	return l
}

// Of all nodes one leads, and the others know which; when it has enough, another one does, and a node
// that loses its lease hears of it.
func TestLead(t *testing.T) {
	const name = "$serve/$bridge/x"
	w := newWire(t, 3)
	l := lead(t, w, name)
	first := coretest.Receive(t, "a leader", l.terms)
	for i, n := range w.nodes {
		coretest.Eventually(t, "it is known", func() bool {
			id, known := n.engine.Leader(name)
			return known == (i != first) && (!known || id == w.nodes[first].id)
		})
	}
	l.stops[first]()
	coretest.Receive(t, "the end of Lead", l.ended[first])
	if err := coretest.Receive(t, "the cause", l.causes); !errors.Is(err, context.Canceled) {
		t.Errorf("who was stopped was told %v", err)
	}
	second := coretest.Receive(t, "the next leader", l.terms)
	if second == first {
		t.Fatal("it leads again")
	}
	lost, e := *l.last.Load(), w.nodes[second].engine
	if !e.Leads(lost) {
		t.Error("who leads does not")
	}
	e.Lost(name)
	if e.Leads(lost) {
		t.Error("who has lost the name leads")
	}
	if err := coretest.Receive(t, "the cause", l.causes); !errors.Is(err, ErrLeadLost) {
		t.Errorf("who has lost its lease was told %v", err)
	}
	w.take(name)
	third := coretest.Receive(t, "another leader", l.terms)
	w.nodes[third].expired.Store(true)
	if w.nodes[third].engine.Leads(*l.last.Load()) {
		t.Error("it leads by a lease that is over")
	}
	w.nodes[third].expired.Store(false)
	for i, stop := range l.stops {
		stop()
		coretest.Receive(t, "the end of Lead", l.ended[i])
	}
	if len(w.channels) > 0 {
		t.Errorf("left: %v", w.channels)
	}
	for _, n := range w.nodes {
		wantEmpty(t, n.engine)
	}
}

// Who cannot ask the others does not lead; when it can, it does. No client has what is led.
func TestLeadUndecided(t *testing.T) {
	w := newWire(t, 1)
	n := w.nodes[0]
	claiming := make(chan struct{})
	n.claiming.Store(&claiming)
	n.claimFails = core.Failure{Code: core.Unreachable}
	l := lead(t, w, "$serve/$bridge/x")
	for range 2 {
		coretest.Receive(t, "a claim", claiming)
		claiming <- struct{}{}
	}
	coretest.Receive(t, "a claim", claiming)
	n.claimFails = core.Failure{}
	n.claiming.Store(nil)
	claiming <- struct{}{}
	coretest.Receive(t, "a leader", l.terms)
	x := n.site(core.Endpoint{}).connect(0)
	wants(t, "a client", x.do(own("$serve/$bridge/x"), pub("$serve/$bridge/x", "m"), ask("$serve/$bridge/x", "q")),
		"failed offer denied; failed publish $serve/$bridge/x denied; failed call $serve/$bridge/x@7 #r no_service")
	x.gone(false)
}

// A broker that is alone leads everything.
func TestLeadAlone(t *testing.T) {
	e := newWorld(t, 1).engine
	ctx, stop := context.WithCancel(t.Context())
	ran := 0
	e.Lead(ctx, "$serve/$bridge/x", func(ctx context.Context) {
		if ran++; !e.Leads(ctx) {
			t.Error("it does not lead")
		}
		stop()
		<-ctx.Done()
	})
	if _, other := e.Leader("$serve/$bridge/x"); ran != 1 || other || e.Leads(ctx) {
		t.Errorf("it led %d times", ran)
	}
}
