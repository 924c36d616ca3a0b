package shadow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/polywire/polywire/internal/relay"
)

// comparer takes apart what was queued, passes it on to the shadow, and compares. All but what is marked is used
// by run's goroutine alone; seen may be read when run has returned.
type comparer struct {
	shadow *Shadow
	o      Options
	queue  *relay.Queue // any goroutine
	reader reader
	ids    *ids
	budget budget // any goroutine
	out    *samples
	seen   Summary
	noted  [reasons]bool
	// stopping: what has not waited long enough is no difference.
	stopping bool
	stopped  time.Time // when it was asked to stop; zero before

	pairs map[*pair]struct{}
	// waiting are pairs with messages of clients that wait.
	waiting  map[*pair]struct{}
	order    order
	held     []*request // that the shadow was not asked yet
	requests map[*relay.Exchange]*request
	asking   int // requests that the shadow is asked now
	answers  chan shadowAnswer

	running context.Context    // for as long as twins may run
	end     context.CancelFunc // of running
	twins   sync.WaitGroup
}

func newComparer(s *Shadow, q *relay.Queue) *comparer {
	c := &comparer{
		shadow: s, o: s.o, queue: q, reader: reader{s.o.Dissector}, ids: newIDs(maxIDs), out: newSamples(s.o),
		pairs: make(map[*pair]struct{}), waiting: make(map[*pair]struct{}),
		requests: make(map[*relay.Exchange]*request), answers: make(chan shadowAnswer, maxAsking),
	}
	c.order.lag = s.o.Lag
	c.budget.give(s.o.TotalBytes)
	c.running, c.end = context.WithCancel(context.Background())
	return c
}

// run compares until stop is closed.
func (c *comparer) run(stop <-chan struct{}) error {
	told := time.NewTicker(c.o.Interval)
	defer told.Stop()
	due := time.NewTicker(min(max(c.o.Window/10, 5*time.Millisecond), 200*time.Millisecond))
	defer due.Stop()
	lag := time.NewTicker(min(max(c.o.Lag/4, 5*time.Millisecond), 200*time.Millisecond))
	defer lag.Stop()
	var pieces []relay.Piece
	work := func() {
		pieces = c.queue.Take(pieces)
		for i := range pieces {
			if c.late(stop) {
				c.skip(&pieces[i])
				continue
			}
			c.piece(&pieces[i])
		}
		c.flushAll()
	}
	for {
		select {
		case <-c.queue.Wake():
			work()
		case a := <-c.answers:
			c.shadowAnswered(a)
			c.flushAll()
		case <-due.C:
			// What came before counts as in time.
			work()
			c.settle(time.Now())
		case <-lag.C:
			work()
		case <-told.C:
			c.tell()
		case <-stop:
			work()
			c.queue.Close()
			c.stopping = true
			for p := range c.pairs {
				c.settlePair(p, time.Now())
				c.forget(p)
			}
			c.seen.Unsettled += len(c.requests)
			c.end()
			c.twins.Wait()
			c.tell()
			if c.out != nil {
				c.out.end(c.seen)
			}
			return errors.Join(c.out.failure(), c.seen.err())
		}
	}
}

func (c *comparer) tell() {
	c.seen.NotCompared[Beyond] += int(c.shadow.beyond.Swap(0))
	if c.out != nil {
		c.seen.Samples = c.out.written
	}
	c.o.Seen(c.seen)
}

// piece looks at one piece.
func (c *comparer) piece(p *relay.Piece) {
	switch s := p.Of.State.(type) {
	case *twin:
		c.fromShadow(s, p)
	case *pair:
		c.fromRelay(s, p)
	default:
		c.fromRelay(c.newPair(p.Of), p)
	}
}

// newPair returns the pair of a connection of which nothing was seen before.
func (c *comparer) newPair(of *relay.Connection) *pair {
	p := &pair{of: of}
	p.dialog = relay.NewDialog(c.o.MaxMessage, &relaySaid{c, p})
	of.State = p
	c.pairs[p] = struct{}{}
	return p
}

// late reports whether it was asked to stop so long ago that what still waits is not looked at.
func (c *comparer) late(stop <-chan struct{}) bool {
	select {
	case <-stop:
		if c.stopped.IsZero() {
			c.stopped = time.Now()
		}
		return time.Since(c.stopped) > c.o.Farewell
	default:
		return false
	}
}

// skip gives up the connection of a piece that is not looked at.
func (c *comparer) skip(piece *relay.Piece) {
	var p *pair
	switch s := piece.Of.State.(type) {
	case *twin:
		p = s.pair
	case *pair:
		p = s
	default:
		p = c.newPair(piece.Of)
	}
	if !p.gone {
		c.giveUp(p, Behind)
		c.forget(p)
	}
}

// fromRelay looks at what a client or the old server did.
func (c *comparer) fromRelay(p *pair, piece *relay.Piece) {
	if p.gone {
		return
	}
	switch k := piece.Kind; k {
	case relay.Unreached:
		c.seen.Unreached++
		c.forget(p)
	case relay.Overflow:
		c.giveUp(p, Behind)
		c.forget(p)
	case relay.FromClient, relay.FromServer:
		if err := p.dialog.Feed(k.Server(), piece.Data); err != nil && !p.gone {
			c.giveUp(p, Broken)
			c.forget(p) // nothing of it can be understood any more
		}
	case relay.Over:
		if p.over.IsZero() {
			p.over = time.Now()
		}
	default:
		c.ended(p, k)
	}
}

// fromShadow looks at what the shadow did.
func (c *comparer) fromShadow(t *twin, piece *relay.Piece) {
	p := t.pair
	if p.gone || p.twin != t {
		return
	}
	switch k := piece.Kind; k {
	case relay.Unreached:
		c.o.Note(fmt.Sprintf("the broker of the configuration cannot be reached: %s", piece.Data))
		c.giveUp(p, NoShadow)
	case relay.Overflow:
		c.giveUp(p, Behind)
	case relay.FromServer:
		if err := t.dialog.Feed(true, piece.Data); err != nil {
			c.giveUp(p, Broken)
			c.dropTwin(p)
		}
	default:
		t.dialog.End(true)
		if !t.up && p.new.upgrade == nil {
			p.new.upgrade = new(outcome)
			c.upgrades(p)
		}
		c.sideEnded(p, &p.new)
		c.dropTwin(p)
	}
}

// giveUp stops comparing a connection. The shadow goes on to hear what its client says.
func (c *comparer) giveUp(p *pair, why Reason) {
	if p.off {
		return
	}
	c.seen.NotCompared[why]++
	if !c.noted[why] {
		c.noted[why] = true
		c.o.Note(fmt.Sprintf("%s is not compared any further: %v; others may differ because of it", p.called(), why))
	}
	c.stopComparing(p)
}

func (c *comparer) stopComparing(p *pair) {
	p.off = true
	for _, side := range []*side{&p.old, &p.new} {
		for _, e := range side.pending {
			c.budget.give(e.cost())
			e.removed = true
			e.said.ends()
		}
		side.said.ends()
		side.pending, side.bytes = nil, 0
	}
}

// dropTwin ends the connection to the shadow.
func (c *comparer) dropTwin(p *pair) {
	if p.twin == nil {
		c.dropHeld(p)
		return
	}
	p.twin.of.Ignore()
	p.twin.stop()
	p.twin = nil
	c.dropHeld(p)
}

// dropHeld forgets what the shadow was not told.
func (c *comparer) dropHeld(p *pair) {
	p.asked = nil
	c.budget.give(p.heldBytes)
	p.held, p.heldBytes = nil, 0
	delete(c.waiting, p)
}

// forget ends what is known of a connection.
func (c *comparer) forget(p *pair) {
	if p.gone {
		return
	}
	p.gone = true
	c.stopComparing(p)
	c.dropTwin(p)
	p.of.Ignore()
	p.dialog = nil
	delete(c.pairs, p)
	c.shadow.watched.Add(-1)
	for e, r := range c.requests {
		if r.pair == p && r.old == nil { // nor will it be answered
			delete(c.requests, e)
		}
	}
}

// differ counts a difference, and writes it down. said is how many lines had been said on the connection then.
func (c *comparer) differ(kind Kind, p *pair, said int, lines func() []string) {
	c.seen.Differences[kind]++
	if c.out.wanted() {
		c.out.add(kind, p.called(), p.recent.until(said), lines()...)
	}
}

// recently remembers what was said on a connection, for samples.
func (c *comparer) recently(p *pair, line func() string) {
	if !c.out.wanted() {
		p.recent.forget()
		return
	}
	p.recent.add(short(p.called() + " " + line()))
}
