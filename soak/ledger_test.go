package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault is what was done to a node.
type fault int

const (
	killed  fault = 1 << iota
	quit          // by SIGTERM
	stopped       // by SIGSTOP, for a while
)

func (f fault) String() string {
	var all []string
	for i, name := range []string{"killed", "quit", "stopped"} {
		if f&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return strings.Join(all, "+")
}

// ledger is told by all clients of a cluster what they say and hear, and finds what must not be.
//
// Time is cut into phases. In a calm one all is well, and everything has to arrive; the others
// belong to a window, which begins before a fault and ends when all clients have proven that they
// hear each other again. Each fault in a window begins a phase, and a phase knows the nodes that
// were touched in its window so far. What was said in a phase, and to or from such a node, may be
// lost; nothing else may. After the second fault of a window channels may be lost too, wherever
// their owners are: a lease outlasts one election of a leader, not two.
//
// So no clock decides what may be lost: before a fault the ledger waits until everything that was
// said before its phase has arrived.
//
// Any goroutine.
type ledger struct {
	patience time.Duration // how long a call may take; static

	mu       sync.Mutex
	phases   []phase
	pubs     map[string]*pub
	subs     map[string]*sub
	calls    map[callKey]*call
	answers  map[route]uint64 // the last good answer
	tenures  []*tenure        // by epoch; the first one is none
	lasts    map[string]int   // the newest epoch of each channel
	owned    time.Time        // when the newest owner of all was
	unowned  time.Duration    // the longest time without a new owner, in this window
	stops    map[int]*standing
	clock    uint64 // counts events
	counts   map[string]int
	troubles []string
}

// phase is what was done in its window so far; nothing in a calm one.
type phase struct {
	touched map[int]fault // nodes
	faults  int
}

// pub is a client that publishes numbered messages.
type pub struct {
	node   int
	owns   bool  // it has to own a channel
	number int   // of its last message
	before []int // for each phase: its last number before it
}

// sub is a client that hears all publishers and all owners of contested channels.
type sub struct {
	node    int
	present bool // it is connected
	// These are of its present connection:
	last   map[string]int // the highest number of a publisher
	lastOf map[string]int // the same of each connection of a publisher
	owners map[string]said
}

// said is the last message of the newest owner of a channel that a subscriber has heard.
type said struct{ epoch, number int }

// route is who asks what.
type route struct{ caller, service string }

// callKey names a call in flight.
type callKey struct {
	caller string
	number int
}

type call struct {
	route
	phase  int
	nodes  []int // the caller's and the answerer's
	owned  bool  // the answerer has to own a channel
	began  time.Time
	waited time.Duration // for how long the caller's node had stood still then
	hung   bool          // it was reported
}

// tenure is the time of one owner of a contested channel.
type tenure struct {
	channel, owner string
	node           int
	phase          int
	began          uint64
}

// standing is for how long a node stood still.
type standing struct {
	total time.Duration
	since time.Time // zero while it runs
}

func newLedger(patience time.Duration) *ledger {
	return &ledger{
		patience: patience, phases: []phase{{}}, pubs: make(map[string]*pub), subs: make(map[string]*sub),
		calls: make(map[callKey]*call), answers: make(map[route]uint64), tenures: []*tenure{nil}, lasts: make(map[string]int),
		stops: make(map[int]*standing), counts: make(map[string]int),
	}
}

// maxTroubles bounds what is reported: one fault often shows in many places.
const maxTroubles = 40

// trouble notes what must not be. It is called with mu held.
func (l *ledger) trouble(format string, values ...any) {
	if l.counts["troubles"]++; len(l.troubles) < maxTroubles {
		l.troubles = append(l.troubles, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf("phase %d %v: ", len(l.phases)-1, l.phases[len(l.phases)-1].touched)+
			fmt.Sprintf(format, values...))
	}
}

// report notes what a client found.
func (l *ledger) report(format string, values ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble(format, values...)
}

// found returns what must not be and was, and how often.
func (l *ledger) found() (troubles []string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.troubles), l.counts["troubles"]
}

// counted returns how often what happened.
func (l *ledger) counted() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// excused reports whether what began in a phase may fail because of one of the nodes, or because
// somebody has to own a channel for it. It is called with mu held.
func (l *ledger) excused(number int, owned bool, nodes ...int) bool {
	p := l.phases[number]
	return owned && p.faults > 1 || slices.ContainsFunc(nodes, func(n int) bool { return p.touched[n] != 0 })
}

// touched reports whether something was done to a node in a phase or after it. It is called with mu
// held.
func (l *ledger) touched(since, node int, what fault) bool {
	return slices.ContainsFunc(l.phases[since:], func(p phase) bool { return p.touched[node]&what != 0 })
}

// calm reports whether this is no window.
func (l *ledger) calm() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phases[len(l.phases)-1].faults == 0
}

// open begins a phase in which something is done to a node. The caller waits for arrived before it
// does so.
func (l *ledger) open(node int, what fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.phases[len(l.phases)-1]
	touched := map[int]fault{node: what}
	for n, before := range now.touched {
		touched[n] |= before
	}
	l.begin(phase{touched, now.faults + 1})
}

// rest begins a calm phase: after a window, or after another one, to wait for arrived.
func (l *ledger) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(phase{})
	l.unowned = 0
}

// ownerless returns the longest time without a new owner of any contested channel, in this window
// and the calm before it.
func (l *ledger) ownerless() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unowned
}

func (l *ledger) begin(next phase) {
	l.phases = append(l.phases, next)
	for _, p := range l.pubs {
		p.before = append(p.before, p.number)
	}
}

// arrived returns what has not arrived or ended yet that was said before this phase and may not be
// lost; "" if nothing is missing.
func (l *ledger) arrived() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := len(l.phases) - 1
	for name, s := range l.subs {
		for from, p := range l.pubs {
			if want := p.before[now]; !l.excused(now-1, p.owns, s.node, p.node) && s.last[from] < want {
				return fmt.Sprintf("%s has not heard message %d of %s, only %d", name, want, from, s.last[from])
			}
		}
	}
	for key, c := range l.calls {
		if c.phase < now && !l.excused(c.phase, c.owned, c.nodes...) {
			return fmt.Sprintf("call %d of %s to %s has not ended", key.number, key.caller, c.service)
		}
	}
	return ""
}

// stop and goOn say that a node stands still, and no longer.
func (l *ledger) stop(node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing(node).since = time.Now()
}

func (l *ledger) goOn(node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.standing(node)
	s.total += time.Since(s.since)
	s.since = time.Time{}
}

func (l *ledger) standing(node int) *standing {
	if l.stops[node] == nil {
		l.stops[node] = new(standing)
	}
	return l.stops[node]
}

// stood returns for how long a node has stood still. It is called with mu held.
func (l *ledger) stood(node int) time.Duration {
	s := l.standing(node)
	if s.since.IsZero() {
		return s.total
	}
	return s.total + time.Since(s.since)
}

// publishes adds a publisher, and hears a subscriber. A publisher may have to own a channel.
func (l *ledger) publishes(name string, node int, owns bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pubs[name] = &pub{node: node, owns: owns, before: make([]int, len(l.phases))}
}

func (l *ledger) hears(name string, node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[name] = &sub{node: node}
}

// say returns the number of the next message of a publisher, which sends it after this call.
func (l *ledger) say(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pubs[name]
	p.number++
	l.counts["said"]++
	return p.number
}

// came says that a subscriber has a new connection.
func (l *ledger) came(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.subs[name]
	s.present = true
	s.last, s.lastOf, s.owners = make(map[string]int), make(map[string]int), make(map[string]said)
}

// cut says that a connection of a client to a node has ended, which only the end of the node
// excuses, or could not be made.
func (l *ledger) cut(name string, node int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.subs[name]; s != nil {
		s.present = false
	}
	l.counts["cut"]++
	if now := l.phases[len(l.phases)-1]; now.touched[node]&(killed|quit) == 0 {
		l.trouble("the connection of %s to node %d, which runs, has ended: %v", name, node, err)
	}
	for key := range l.calls {
		if key.caller == name {
			delete(l.calls, key)
			l.counts["lost with the caller's node"]++
		}
	}
}

// hear says that a subscriber has heard a message of a publisher, sent through its conn-th
// connection.
func (l *ledger) hear(name, from string, conn, number int, topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, p := l.subs[name], l.pubs[from]
	if p == nil || number < 1 || number > p.number || topic != topicOf(from) {
		l.trouble("%s heard what nobody has said: message %d of %s at %s", name, number, from, topic)
		return
	}
	l.counts["heard"]++
	// A publisher's next connection goes another way than the one before it, whose last messages
	// may be late. Each keeps its own order.
	through := fmt.Sprint(from, ".", conn)
	last, known := s.last[from]
	switch {
	case number == s.lastOf[through]:
		l.trouble("%s heard message %d of %s twice", name, number, from)
	case number < s.lastOf[through]:
		l.trouble("%s heard message %d of %s after %d", name, number, from, s.lastOf[through])
	case known && number > last+1:
		l.gap(name, s, from, p, last+1, number-1)
	}
	s.lastOf[through] = max(s.lastOf[through], number)
	s.last[from] = max(last, number)
}

// gap judges messages that a subscriber has not heard. It is called with mu held.
func (l *ledger) gap(name string, s *sub, from string, p *pub, first, last int) {
	for n := first; n <= last; n++ {
		// The phase in which it was said is the last one that began before it.
		phase, _ := slices.BinarySearch(p.before, n)
		if phase--; !l.excused(phase, p.owns, s.node, p.node) {
			l.trouble("%s (node %d) has not heard message %d of %s (node %d), said in phase %d %v: from %d to %d are missing",
				name, s.node, n, from, p.node, phase, l.phases[phase].touched, first, last)
			return
		}
		l.counts["lost"]++
	}
}

// ask says that a client at a node is about to call a service.
func (l *ledger) ask(caller string, number int, s service, node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts["calls"]++
	answerer := s.node
	if answerer == nearest {
		answerer = node
	}
	l.calls[callKey{caller, number}] = &call{
		route: route{caller, s.name}, phase: len(l.phases) - 1, nodes: []int{node, answerer}, owned: s.owned, began: time.Now(), waited: l.stood(node),
	}
}

// answered says how a call has ended: with the answer to a question, or with a failure, which is
// the message.
func (l *ledger) answered(caller string, number int, question, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := callKey{caller, number}
	c := l.calls[key]
	if c == nil {
		l.trouble("call %d of %s ended, which was not made or had ended: %q", number, caller, message)
		return
	}
	delete(l.calls, key)
	l.clock++
	switch {
	case question == questionOf(caller, number):
		l.counts["answered"]++
		l.answers[c.route] = l.clock
	case question != "":
		l.trouble("call %d of %s to %s got the answer to %q", number, caller, c.service, question)
	default:
		l.counts["failed"]++
		if !l.excused(c.phase, c.owned, c.nodes...) {
			l.trouble("call %d of %s to %s, made in phase %d %v between the nodes %v, failed after %v: %q",
				number, caller, c.service, c.phase, l.phases[c.phase].touched, c.nodes, time.Since(c.began).Round(time.Millisecond), message)
		}
	}
}

// late looks for calls that hang.
func (l *ledger) late() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, c := range l.calls {
		if took := time.Since(c.began) - (l.stood(c.nodes[0]) - c.waited); took > l.patience && !c.hung {
			c.hung = true
			l.trouble("call %d of %s to %s hangs, made in phase %d %v between the nodes %v", key.number, key.caller, c.service, c.phase, l.phases[c.phase].touched, c.nodes)
		}
	}
}

func questionOf(caller string, number int) string { return fmt.Sprintf("q %s %d", caller, number) }

// own says that a client owns a channel: a message that it has published there has come back. It
// returns the epoch with which it signs all further ones.
func (l *ledger) own(channel, owner string, node int) (epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	l.tenures = append(l.tenures, &tenure{channel: channel, owner: owner, node: node, phase: len(l.phases) - 1, began: l.clock})
	epoch = len(l.tenures) - 1
	l.lasts[channel] = epoch
	l.counts["owners"]++
	now := time.Now()
	if !l.owned.IsZero() {
		l.unowned = max(l.unowned, now.Sub(l.owned))
	}
	l.owned = now
	return epoch
}

// tick returns the time before something is sent, for accepted.
func (l *ledger) tick() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	return l.clock
}

// accepted says that a message, sent not before a time, has come back to the owner who signed it.
// So it owned the channel at some time after that, and all the time since its epoch began.
func (l *ledger) accepted(epoch int, sent uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenures[epoch]
	for e := epoch + 1; e < len(l.tenures) && l.tenures[e].began < sent; e++ {
		if other := l.tenures[e]; other.channel == t.channel && !l.touched(t.phase, t.node, killed|stopped) {
			l.trouble("two own %s: %s (node %d, epoch %d) published after %s (node %d, epoch %d) had", t.channel,
				t.owner, t.node, epoch, other.owner, other.node, e)
			return
		}
	}
}

// deposed says that a client that owned a channel does not own it any more. why is what it read.
func (l *ledger) deposed(epoch int, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenures[epoch]
	l.counts["deposed"]++
	if now := l.phases[len(l.phases)-1]; now.faults < 2 && !l.touched(t.phase, t.node, stopped) {
		l.trouble("%s (node %d) has lost the channel %s: %q", t.owner, t.node, t.channel, why)
	}
}

// hearOwner says that a subscriber has heard a message with an epoch at a contested channel.
func (l *ledger) hearOwner(name, channel string, epoch, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch < 1 || epoch >= len(l.tenures) || l.tenures[epoch].channel != channel {
		l.trouble("%s heard what nobody has said: epoch %d at %s", name, epoch, channel)
		return
	}
	l.counts["heard of owners"]++
	s, t := l.subs[name], l.tenures[epoch]
	last := s.owners[channel]
	switch {
	case epoch > last.epoch:
		s.owners[channel] = said{epoch, number}
	case epoch == last.epoch && number > last.number:
		s.owners[channel] = said{epoch, number}
	case epoch == last.epoch:
		l.trouble("%s heard message %d of epoch %d of %s after %d", name, number, epoch, channel, last.number)
	// What waited for a node that stood still comes by several ways at once when it goes on.
	case !l.touched(t.phase, t.node, killed|stopped) && !l.touched(t.phase, s.node, stopped):
		l.trouble("%s (node %d) heard epoch %d of %s (node %d) after epoch %d (node %d)",
			name, s.node, epoch, channel, t.node, last.epoch, l.tenures[last.epoch].node)
	}
}

// everybodyHeard reports whether all subscribers have heard a message of an owner.
func (l *ledger) everybodyHeard(channel string, epoch, number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.subs {
		if last := s.owners[channel]; last.epoch < epoch || last.epoch == epoch && last.number < number {
			return false
		}
	}
	return true
}

// proof waits for a proof that all clients reach each other again.
type proof struct {
	l        *ledger
	numbers  map[string]int
	clock    uint64
	routes   []route
	channels []string
}

// prove begins a proof: what was said before it does not count.
func (l *ledger) prove(routes []route, channels []string) *proof {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &proof{l: l, numbers: make(map[string]int), clock: l.clock, routes: routes, channels: channels}
	for name, one := range l.pubs {
		p.numbers[name] = one.number
	}
	return p
}

// missing returns what is still to be proven; "" if nothing is. Each subscriber has to hear each
// publisher, each caller has to get an answer of each service, and each contested channel has to
// get an owner.
func (p *proof) missing() string {
	l := p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	var missing []string
	for name, s := range l.subs {
		if !s.present {
			missing = append(missing, name+" is not connected")
			continue
		}
		for from, number := range p.numbers {
			if s.last[from] <= number {
				missing = append(missing, fmt.Sprintf("%s does not hear %s", name, from))
			}
		}
	}
	for _, r := range p.routes {
		if l.answers[r] <= p.clock {
			missing = append(missing, fmt.Sprintf("%s has no answer of %s", r.caller, r.service))
		}
	}
	for _, c := range p.channels {
		if e := l.lasts[c]; e == 0 || l.tenures[e].began <= p.clock {
			missing = append(missing, "nobody owns "+c)
		}
	}
	if len(missing) > 8 {
		missing = append(missing[:8], fmt.Sprintf("and %d more", len(missing)-8))
	}
	return strings.Join(missing, "; ")
}
