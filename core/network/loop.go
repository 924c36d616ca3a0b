package network

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// The bounds of one turn: after this many mails, this time, or writes to this many
// connections, the loop returns to I/O. A mail is handed out to all its members at once,
// which is quick; writing to them is not.
const (
	turnMails  = 256
	turnTime   = time.Millisecond
	turnWrites = 512
)

// loop is what one gnet event loop owns.
type loop struct {
	// Static after construction.
	server *Server
	index  int
	el     gnet.EventLoop
	later  chan time.Duration // asks pace for a turn after a delay; capacity 1
	soon   chan struct{}      // asks pace for a turn at once; capacity 1

	mailbox mailbox

	// Owned by the loop.
	conns     map[*conn]struct{}
	wheel     timers.Wheel[conn, *conn]
	clock     timers.Clock
	dirty     []*conn    // connections with output of this turn
	unwritten []*conn    // connections whose output was too much for a turn, in order
	stuck     []*conn    // connections whose sockets are full, waiting for retry
	turn      []*frame   // frames to release when the turn ends
	cork      []byte     // where small frames are joined for one write
	corked    []*frame   // the frames that are in cork now
	parser    *parser    // of connections that are between messages; nil if none is
	plain     []byte     // where records are decrypted; nil before the first
	cipher    []byte     // where records are encrypted
	spare     [][]*frame // empty output queues, for reuse
	guests    []*guest
	leaving   []*conn // connections whose peers must get Gone
	behind    []*conn // connections that have stepped back, in order
	awake     []*conn // connections that resume reading before the turn ends
	effort    effort  // of this turn
	inbound   inbound // waiting input
	load      load
	depth     int  // how many callbacks of gnet are nested
	counted   bool // this turn is in server.turns

	nextRetry time.Time
	retries   uint64  // rounds of retries
	retrying  []*conn // scratch of retryStuck

	// Atomic.
	ticks     atomic.Uint32 // the last result of clock
	congested atomic.Bool   // counted in server.congested
	largest   atomic.Int64  // the most memory that waits for one full socket
	turning   atomic.Bool   // guests that ask for a turn now get one at the end of this turn
	turned    atomic.Int64  // when the last turn of Run began, in nanoseconds since the server started
}

func newLoop(s *Server, index int, el gnet.EventLoop) *loop {
	l := &loop{
		server: s, index: index, el: el,
		later: make(chan time.Duration, 1),
		soon:  make(chan struct{}, 1),
		conns: make(map[*conn]struct{}),
		cork:  make([]byte, 0, corkSize),
	}
	l.inbound.waiting = make(map[*conn]struct{})
	l.mailbox.init(s.options.OutboundBudget, s.options.Loops)
	now := time.Now()
	l.clock.Start(s.started, now)
	l.ticks.Store(l.clock.Look(now))
	l.wheel.Start(l.ticks.Load())
	l.turned.Store(int64(now.Sub(s.started)))
	go l.pace()
	return l
}

// pace gives the loop a turn on every tick and whenever the loop has asked for one. A task
// that schedules itself from within a loop would starve its sockets.
func (l *loop) pace() {
	ticker := time.NewTicker(timers.Tick)
	defer ticker.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-l.server.done:
			return
		case d := <-l.later:
			if d > 0 {
				timer.Reset(d)
				continue
			}
		case <-l.soon:
		case <-ticker.C:
		case <-timer.C:
		}
		l.kick()
	}
}

// kick schedules a turn unless one is scheduled already. Any goroutine.
func (l *loop) kick() {
	l.mailbox.mu.Lock()
	schedule := l.mailbox.schedule(l.server.crowded())
	l.mailbox.mu.Unlock()
	if schedule {
		l.execute()
	}
}

func (l *loop) execute() {
	// The only error is an engine that has stopped: then nobody is left to serve.
	_ = l.el.Execute(context.Background(), l)
}

// post puts m into the mailbox. Any goroutine.
func (l *loop) post(m mail) {
	l.mailbox.mu.Lock()
	l.mailbox.append(m)
	l.unlock()
}

// unlock ends every change of the mailbox: it unlocks, makes publishers wait if the mailbox
// is congested, and schedules a turn of the loop. The caller holds mailbox.mu.
func (l *loop) unlock() {
	if l.mailbox.congested() && l.congested.CompareAndSwap(false, true) {
		l.server.congested.Add(1)
	}
	schedule := l.mailbox.schedule(l.server.crowded())
	l.mailbox.mu.Unlock()
	if schedule {
		l.execute()
	}
}

// deliver puts m into the mailbox for the audiences at the beginning of to that are on this
// loop, and returns their number. It is one mail for all of them, because one client can be
// in many. Any goroutine.
func (l *loop) deliver(m mail, to []core.Audience) (n int) {
	n = 1
	for n < len(to) && to[n].(*audience).loop == l {
		n++
	}
	m.aud = to[0].(*audience)
	if n > 1 {
		m.more = slices.Clone(to[1:n])
	}
	l.address(m)
	return n
}

// address puts m into the mailbox for its audiences.
func (l *loop) address(m mail) {
	l.mailbox.mu.Lock()
	defer l.unlock()
	if l.mailbox.full() {
		for aud := range m.audiences {
			aud.dropAll(m.frame, core.ReasonOverload)
		}
		return
	}
	if m.frame != nil {
		m.frame.retain()
	}
	l.server.spent.Add(l.mailbox.append(m))
}

// Run is a turn that drains the mailbox. gnet calls it on the loop. The next turn is
// requested only after this one, through pace: gnet would run some hundred scheduled turns
// in a row without looking at sockets.
func (l *loop) Run(context.Context) error {
	l.mailbox.begin()
	defer l.goOn()
	l.drain()
	return nil
}

// goOn ends a turn of Run, and asks for another one if needed.
func (l *loop) goOn() {
	if l.mailbox.end() {
		l.askSoon()
	}
}

// askSoon asks for a turn when this one is over and the sockets were looked at.
func (l *loop) askSoon() {
	select {
	case l.soon <- struct{}{}:
	default:
	}
}

func (l *loop) drain() {
	l.beginTurn()
	defer l.endTurn()
	start := time.Now()
	l.turned.Store(int64(start.Sub(l.server.started)))
	if now := l.clock.Look(start); now != l.ticks.Load() {
		l.ticks.Store(now)
		l.wheel.Advance(now, (*conn).expire)
	}
	l.retryStuck(start)
	l.writeRest()
	for n := 1; ; n++ {
		m := l.mailbox.take()
		if n == 1 {
			l.load.mails.Saw(int64(len(l.mailbox.batch) - l.mailbox.next + 1))
		}
		if m == nil {
			break
		}
		l.carryOut(m)
		if n >= turnMails || n%16 == 0 && time.Since(start) > turnTime {
			break
		}
	}
	// Those who were woken have not cost this turn anything: they come before those behind.
	l.readOn()
	l.serveBehind()
	l.relieve()
	l.relieveInput()
	l.relax()
	l.letIn()
}

// relax ends the congestion of the mailbox when it is over.
func (l *loop) relax() {
	if !l.congested.Load() {
		return
	}
	l.mailbox.mu.Lock()
	over := l.mailbox.relaxed()
	l.mailbox.mu.Unlock()
	if over && l.congested.CompareAndSwap(true, false) {
		l.server.congested.Add(-1)
	}
}

// askLater asks for a turn after d.
func (l *loop) askLater(d time.Duration) {
	select {
	case l.later <- d:
	default:
		// One is requested already, and the next tick is soon.
	}
}

// carryOut does one mail.
func (l *loop) carryOut(m *mail) {
	switch {
	case m.aud != nil:
		l.handOut(m)
	case m.conn == nil:
		l.server.guard(nil, m.fn)
	case m.event != nil:
		if m.conn.state != ended {
			m.conn.tellGuarded(m.event.ev)
		}
		m.event.release()
	case m.conn.state == ended:
	default:
		l.server.guard(m.conn, m.fn)
	}
}

// beginTurn and endTurn enclose every callback of gnet. Closing a connection calls
// OnClose from within another callback: only the outermost is the turn.
func (l *loop) beginTurn() {
	if l.depth++; l.depth == 1 {
		l.counted = l.server.enterTurn()
		if len(l.guests) > 0 {
			l.turning.Store(true)
		}
		l.effort.begin()
		l.load.began = l.effort.began
	}
}

// handOut gives a message to the members of its audiences.
func (l *loop) handOut(m *mail) {
	if m.frame != nil {
		l.lend(m.frame) // the mail's reference
	}
	n := 0
	for aud := range m.audiences {
		for next := 0; next < len(aud.members); {
			next = l.handOutFrom(aud, next, m, &n)
		}
	}
	if n > 0 {
		m.aud.count(n, m.frame)
	}
}

// handOutFrom gives a message to the members of an audience from first on, and returns the
// next index: after the last member, or after the one on which it panicked. n counts the
// members that got the message.
func (l *loop) handOutFrom(aud *audience, first int, m *mail, n *int) (next int) {
	i := first
	defer func() {
		if fault := recover(); fault != nil {
			c := aud.members[i].conn
			l.server.cutAfterPanic(c, fault)
		}
		next = i + 1
	}()
	for ; i < len(aud.members); i++ {
		r := &aud.members[i]
		if r.since >= m.pos || r.conn == m.except || r.conn.stamp == m.stamp {
			continue
		}
		r.conn.stamp = m.stamp
		if m.frame == nil {
			r.conn.dropUnwritable(m.lost.author, m.lost.err)
		} else if r.conn.queue(lent{m.frame}) {
			*n++
			r.conn.traffic.said(m.frame.payload)
		}
	}
	return i
}

// endTurn writes the output that the turn has queued, tells the engine which connections
// left, and releases the turn's frames.
func (l *loop) endTurn() {
	if l.depth > 1 {
		l.depth--
		return
	}
	l.readOn()
	l.serveGuests()
	// Before the writes, which take long and send few requests.
	if l.counted {
		l.server.guard(nil, l.server.leaveTurn)
	}
	for len(l.dirty) > 0 || len(l.leaving) > 0 || len(l.awake) > 0 {
		l.readOn()
		// Only now, because the members of an audience must stay while mail is handed out to
		// it. What they owned alone is free already.
		for i := 0; i < len(l.leaving); i++ {
			c := l.leaving[i]
			l.server.guard(nil, func() { c.peer.Gone(c.reason) })
		}
		clear(l.leaving)
		l.leaving = l.leaving[:0]
		l.writeTurn()
	}
	for _, f := range l.turn {
		f.release()
	}
	clear(l.turn)
	l.turn = l.turn[:0]
	// From here on the pool may reuse the frames for other bytes.
	l.corked = l.corked[:0]
	l.load.busy.Add(int64(time.Since(l.load.began)))
	l.depth--
	if l.turning.Load() {
		l.stopTurning()
	}
}

// takeParser returns a parser that is between messages.
func (l *loop) takeParser(maxMessage int, deflate bool, h *history) *parser {
	p := l.parser
	if p == nil {
		p = new(parser)
	}
	l.parser = nil
	p.maxMessage, p.deflate, p.history, p.deaf = maxMessage, deflate, h, false
	return p
}

// giveParser takes back a parser that is between messages.
func (l *loop) giveParser(p *parser) {
	p.history = nil
	l.parser = p
}

// lend takes over the caller's reference to f; the turn holds it until it ends.
func (l *loop) lend(f *frame) lent {
	l.turn = append(l.turn, f)
	return lent{f}
}
