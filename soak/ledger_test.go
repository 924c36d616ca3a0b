package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// ledger is told by all clients of a cluster what they say and hear, and what is done to the cluster,
// and finds what must not be. What it may excuse is said by incident and flow; everything else has to
// arrive, once and in order, every call has to end, and a channel has one owner at any time.
//
// Any goroutine.
type ledger struct {
	// Static.
	patience time.Duration // how long a call may take
	channels []string      // contested, and soon another's

	mu        sync.Mutex
	incidents []*incident // all that was done
	atRisk    bool        // channels may be lost now, wherever their owners are
	atRiskAt  uint64      // when that was so last
	pubs      map[string]*pub
	subs      map[string]*sub
	flows     map[link]*flow  // of messages
	ways      map[route]*flow // of calls
	calls     map[callKey]*call
	tenures   []*tenure      // by epoch; the first one is none
	lasts     map[string]int // the newest epoch of each channel
	owned     time.Time      // when the newest owner of all was
	unowned   time.Duration  // the longest time without a new owner
	longest   time.Duration  // the longest call that ended as its answerer was gone,
	slowest   string         // and which one it was
	stops     map[int]*standing
	tried     map[string]string // what each contender has done last
	clock     uint64            // counts events
	counts    map[string]int
	troubles  []string
}

// pub is a client that publishes numbered messages.
type pub struct {
	node   int
	owns   bool // it has to own a channel
	number int  // of its last message
}

// sub is a client that hears all publishers and all owners of contested channels.
type sub struct {
	node    int
	present bool // it is connected
	// These are of its present connection:
	last   map[string]int // the highest number of a publisher
	lastOf map[string]int // the same of each connection of a publisher
	heard  map[string]map[int]bool
	owners map[string]said
}

// said is the last message of the newest owner of a channel that a subscriber has heard.
type said struct{ epoch, number int }

// link is who hears whom.
type link struct{ pub, sub string }

// route is who asks what.
type route struct{ caller, service string }

// callKey names a call in flight.
type callKey struct {
	caller string
	number int
}

type call struct {
	route
	node    int    // the caller's
	asked   uint64 // when
	excused bool   // it may fail
	held    bool   // its answer takes time; if the answerer goes it ends by that, and not by a time-out,
	dropped bool   // unless a server that joins the nodes has died with it
	await   bool   // it has to end before the next fault
	began   time.Time
	waited  time.Duration // for how long the caller's node had stood still then
	hung    bool          // it was reported
}

// tenure is the time of one owner of a contested channel.
type tenure struct {
	channel, owner string
	node           int
	began          uint64
}

// standing is for how long a node stood still.
type standing struct {
	total time.Duration
	since time.Time // zero while it runs
}

func newLedger(patience time.Duration, channels ...string) *ledger {
	return &ledger{
		patience: patience, channels: channels, pubs: make(map[string]*pub), subs: make(map[string]*sub),
		flows: make(map[link]*flow), ways: make(map[route]*flow),
		calls: make(map[callKey]*call), tenures: []*tenure{nil}, lasts: make(map[string]int),
		stops: make(map[int]*standing), tried: make(map[string]string), counts: make(map[string]int),
	}
}

// maxTroubles bounds what is reported: one fault often shows in many places.
const maxTroubles = 40

// trouble notes what must not be. It is called with mu held.
func (l *ledger) trouble(format string, values ...any) {
	if l.counts["troubles"]++; len(l.troubles) < maxTroubles {
		l.troubles = append(l.troubles, fmt.Sprintf("%s %v: %s", now(), l.present(), fmt.Sprintf(format, values...)))
	}
}

// present returns the incidents that are not over.
func (l *ledger) present() (all []*incident) {
	for _, w := range l.incidents {
		if w.over == 0 {
			all = append(all, w)
		}
	}
	return all
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

// publishes adds a publisher, hears a subscriber and asks a caller of a service. A publisher, and who
// answers, may have to own a channel. All are added before any of them says anything.
func (l *ledger) publishes(name string, node int, owns bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pubs[name] = &pub{node: node, owns: owns}
	for sub := range l.subs {
		l.connect(name, sub)
	}
}

func (l *ledger) hears(name string, node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[name] = &sub{node: node}
	for pub := range l.pubs {
		l.connect(pub, name)
	}
}

func (l *ledger) connect(pub, sub string) {
	p := l.pubs[pub]
	l.flows[link{pub, sub}] = &flow{from: p.node, to: l.subs[sub].node, owned: p.owns}
	l.update()
}

func (l *ledger) asks(caller string, node int, s service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	answerer := s.node
	if answerer == nearest {
		answerer = node
	}
	l.ways[route{caller, s.name}] = &flow{from: node, to: answerer, owned: s.owned}
	l.update()
}

// open says that something is about to be done. The caller waits for arrived before it does so.
func (l *ledger) open(w *incident) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	w.opened = l.clock
	l.counts[w.what.String()]++
	l.incidents = append(l.incidents, w)
	l.counts["most at once"] = max(l.counts["most at once"], len(l.present()))
	l.update()
	for _, c := range l.calls {
		f := l.ways[c.route]
		c.dropped = c.dropped || w.what == serverKilled && w.cuts(f.from, f.to)
		switch {
		case c.excused || !f.broken:
		case c.held: // it is to be in flight
			c.excused = true
		default:
			c.await = true
		}
	}
}

// recovered says that an incident is undone, and its nodes are well.
func (l *ledger) recovered(w *incident) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	w.recovered, w.recoveredAt = true, l.clock
	l.update()
}

// update brings all flows up to date with the incidents. It is called with mu held.
func (l *ledger) update() {
	open, weight := []*incident(nil), 0
	for _, w := range l.present() {
		weight += w.weight
		if !w.recovered {
			open = append(open, w)
		}
	}
	if l.atRisk {
		l.atRiskAt = l.clock
	}
	l.atRisk = weight >= 2
	covered := func(f *flow) bool {
		return f.owned && l.atRisk || slices.ContainsFunc(open, func(w *incident) bool { return w.cuts(f.from, f.to) })
	}
	for link, f := range l.flows {
		f.review(covered(f), l.pubs[link.pub].number)
	}
	for _, f := range l.ways {
		f.review(covered(f), int(l.clock))
	}
}

// settle ends the incidents that have recovered: each flow that they cut is proven to be whole, or cut by
// another one, and each contested channel has found another owner.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.present() {
		if w.recovered && l.isOver(w) {
			l.clock++
			w.over = l.clock
			l.update()
		}
	}
}

func (l *ledger) isOver(w *incident) bool {
	still := func(f *flow) bool { return f.broken && !f.covered && w.cuts(f.from, f.to) }
	for _, f := range l.flows {
		if still(f) {
			return false
		}
	}
	for _, f := range l.ways {
		if still(f) {
			return false
		}
	}
	return !slices.ContainsFunc(l.channels, func(c string) bool { return !l.ownedSince(c, w.recoveredAt) })
}

// ownedSince reports whether somebody has got a contested channel after a time. It is called with mu held.
func (l *ledger) ownedSince(channel string, since uint64) bool {
	e := l.lasts[channel]
	return e != 0 && l.tenures[e].began > since
}

// unclaimed returns the contested channels that nobody has got since the nodes recovered from a fault that
// is not over. It is called with mu held.
func (l *ledger) unclaimed() (all []string) {
	for _, c := range l.channels {
		if slices.ContainsFunc(l.present(), func(w *incident) bool { return w.recovered && !l.ownedSince(c, w.recoveredAt) }) {
			all = append(all, c)
		}
	}
	return all
}

// quiet reports whether nothing is done, and all is proven to be well.
func (l *ledger) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing() == ""
}

// unproven returns what is not proven to be well; "" if all is.
func (l *ledger) unproven() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing()
}

func (l *ledger) missing() string {
	var all []string
	for _, w := range l.present() {
		all = append(all, w.String())
	}
	for link, f := range l.flows {
		if f.broken {
			all = append(all, fmt.Sprintf("%s does not hear %s", link.sub, link.pub))
		}
	}
	for route, f := range l.ways {
		if f.broken {
			all = append(all, fmt.Sprintf("%s has no answer of %s", route.caller, route.service))
		}
	}
	if len(all) == 0 {
		all = l.neverOwned()
	}
	if free := l.unclaimed(); len(free) > 0 {
		all = slices.Insert(all, 0, fmt.Sprintf("no new owner of %q, for which there are %q", free, l.tried))
	}
	if len(all) > 8 {
		all = append(all[:8], fmt.Sprintf("and %d more", len(all)-8))
	}
	return strings.Join(all, "; ")
}

// neverOwned returns at which nodes nobody has owned a contested channel since all is well: one that was
// not given back could be owned again at its node alone. It is called with mu held.
func (l *ledger) neverOwned() (missing []string) {
	since := uint64(0)
	for _, w := range l.incidents {
		since = max(since, w.recoveredAt)
	}
	for _, c := range l.channels {
		for n := range size {
			if !slices.ContainsFunc(l.tenures[1:], func(t *tenure) bool { return t.channel == c && t.node == n && t.began > since }) {
				missing = append(missing, fmt.Sprintf("nobody owns %s at %s", c, letterOf(n)))
			}
		}
	}
	return missing
}

// mark says that all that was said so far has to arrive, as far as it may not be lost.
func (l *ledger) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for link, f := range l.flows {
		if !f.broken {
			f.await = l.pubs[link.pub].number
		}
	}
	for _, c := range l.calls {
		c.await = c.await || !c.excused
	}
}

// arrived returns what has to arrive or to end and has not; "" if nothing is missing.
func (l *ledger) arrived() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for link, f := range l.flows {
		if last := l.subs[link.sub].last[link.pub]; last < f.await {
			return fmt.Sprintf("%s has not heard message %d of %s, only %d", link.sub, f.await, link.pub, last)
		}
		f.await = 0
	}
	for key, c := range l.calls {
		if c.await {
			return fmt.Sprintf("call %d of %s to %s has not ended", key.number, key.caller, c.service)
		}
	}
	return ""
}

// end says that the clients are about to leave, in any order: calls may fail then.
func (l *ledger) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.ways {
		f.review(true, int(l.clock))
	}
	for _, c := range l.calls {
		c.excused = true
	}
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
	s.heard = make(map[string]map[int]bool)
}

// tick returns the time before something is done.
func (l *ledger) tick() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	return l.clock
}

// hadFault reports whether a node has one of these incidents, or had it since then. It is called with mu
// held.
func (l *ledger) hadFault(node int, since uint64, by ...fault) bool {
	return slices.ContainsFunc(l.incidents, func(w *incident) bool {
		return w.ofNode() && w.node == node && slices.Contains(by, w.what) && (w.over == 0 || w.over >= since)
	})
}

// cut says that a connection of a client to a node, begun at a time, has ended, which only the end
// of the node excuses, or could not be made.
func (l *ledger) cut(name string, node int, since uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.subs[name]; s != nil {
		s.present = false
	}
	l.counts["cut"]++
	if !l.hadFault(node, since, killed, quit) {
		l.trouble("the connection of %s to node %s, which runs, has ended: %v", name, letterOf(node), err)
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
	l.clock++
	// A publisher's next connection goes another way than the one before it, whose last messages
	// may be late. Each keeps its own order.
	through := fmt.Sprint(from, ".", conn)
	last, known := s.last[from]
	f := l.flows[link{from, name}]
	if s.heard[from] == nil {
		s.heard[from] = make(map[int]bool)
	}
	switch {
	case s.heard[from][number]:
		l.trouble("%s heard message %d of %s twice", name, number, from)
	case number < s.lastOf[through]:
		l.trouble("%s heard message %d of %s after %d", name, number, from, s.lastOf[through])
	case known && number > last+1:
		l.gap(name, from, f, last+1, number-1)
	}
	s.heard[from][number] = true
	s.lastOf[through] = max(s.lastOf[through], number)
	s.last[from] = max(last, number)
	f.proven(number, l.clock)
}

// gap judges messages that a subscriber has not heard. It is called with mu held.
func (l *ledger) gap(name, from string, f *flow, first, last int) {
	for n := first; n <= last; n++ {
		if !f.excuses(n) {
			l.trouble("%s (node %s) has not heard message %d of %s (node %s): from %d to %d are missing, may be lost: %v, broken: %v, from %d",
				name, letterOf(f.to), n, from, letterOf(f.from), first, last, f.windows[max(len(f.windows)-3, 0):], f.broken, f.first)
			return
		}
		l.counts["lost"]++
	}
}

// ask says that a client is about to call a service.
func (l *ledger) ask(caller string, number int, s service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts["calls"]++
	l.clock++
	f := l.ways[route{caller, s.name}]
	l.calls[callKey{caller, number}] = &call{
		route: route{caller, s.name}, node: f.from, asked: l.clock, excused: f.broken, held: s.held, began: time.Now(), waited: l.stood(f.from),
		dropped: slices.ContainsFunc(l.present(), func(w *incident) bool { return w.what == serverKilled && w.cuts(f.from, f.to) }),
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
	took := (time.Since(c.began) - l.stood(c.node) + c.waited).Round(time.Millisecond)
	switch {
	case question == questionOf(caller, number):
		l.counts["answered"]++
		l.ways[c.route].proven(int(c.asked), l.clock)
	case question != "":
		l.trouble("call %d of %s to %s got the answer to %q", number, caller, c.service, question)
	case !c.excused:
		l.trouble("call %d of %s to %s failed after %v: %q", number, caller, c.service, took, message)
	case c.held && !c.dropped && strings.Contains(message, "timeout"):
		l.trouble("call %d of %s to %s timed out after %v, instead of ending with its answerer: %q", number, caller, c.service, took, message)
	default:
		l.counts["failed"]++
		if c.held && !c.dropped {
			l.counts["failed, of those that were held"]++
			if took > l.longest {
				l.longest, l.slowest = took, fmt.Sprintf("%s: call %d of %s to %s: %q", now(), number, caller, c.service, message)
			}
		}
	}
}

// late looks for calls that hang.
func (l *ledger) late() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, c := range l.calls {
		patience := l.patience
		if c.dropped {
			patience += patientTimeout
		}
		if took := time.Since(c.began) - (l.stood(c.node) - c.waited); took > patience && !c.hung {
			c.hung = true
			l.trouble("call %d of %s to %s hangs, for %v", key.number, key.caller, c.service, took)
		}
	}
}

// sample counts the ways between clients that are whole: the others are not judged.
func (l *ledger) sample() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		l.sampled(f)
	}
	for _, f := range l.ways {
		l.sampled(f)
	}
}

func (l *ledger) sampled(f *flow) {
	l.counts["ways"]++
	if !f.broken {
		l.counts["ways that were whole"]++
	}
}

// strict returns how many percent of all ways were whole, on average.
func (l *ledger) strict() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 100 * l.counts["ways that were whole"] / max(l.counts["ways"], 1)
}

func questionOf(caller string, number int) string { return fmt.Sprintf("q %s %d", caller, number) }

// own says that a client owns a channel: a message that it has published there has come back. It
// returns the epoch with which it signs all further ones.
func (l *ledger) own(channel, owner string, node int) (epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	l.tenures = append(l.tenures, &tenure{channel: channel, owner: owner, node: node, began: l.clock})
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

// tries says what a contender does.
func (l *ledger) tries(name, format string, values ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried[name] = now() + " " + fmt.Sprintf(format, values...)
}

// accepted says that a message, sent not before a time, has come back to the owner who signed it.
// So it owned the channel at some time after that, and all the time since its epoch began.
func (l *ledger) accepted(epoch int, sent uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenures[epoch]
	for e := epoch + 1; e < len(l.tenures) && l.tenures[e].began < sent; e++ {
		if other := l.tenures[e]; other.channel == t.channel && !l.declared(t, sent) {
			l.trouble("two own %s: %s (node %s, epoch %d) published after %s (node %s, epoch %d) had", t.channel,
				t.owner, letterOf(t.node), epoch, other.owner, letterOf(other.node), e)
			return
		}
	}
}

// declared reports whether a client may still own a channel that somebody else has got. It is called
// with mu held.
func (l *ledger) declared(t *tenure, sent uint64) bool {
	return slices.ContainsFunc(l.incidents, func(w *incident) bool {
		if w.over != 0 && w.over < t.began || w.recoveredAt != 0 && w.recoveredAt < sent {
			return false
		}
		// A Redis that is emptied does not know that it has forgotten owners, and may give channels to
		// others before those claim them again.
		return w.what == emptied
	})
}

// lostChannel says that a client that owned a channel does not own it any more. why is what it read.
func (l *ledger) lostChannel(epoch int, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenures[epoch]
	l.counts["channels lost"]++
	if !l.atRisk && l.atRiskAt < t.began && !l.hadFault(t.node, t.began, stopped) {
		l.trouble("%s (node %s) has lost the channel %s: %q", t.owner, letterOf(t.node), t.channel, why)
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
	case l.connected(t, name) && !l.declared(t, l.clock):
		l.trouble("%s (node %s) heard epoch %d of %s (node %s) after epoch %d (node %s)",
			name, letterOf(s.node), epoch, channel, letterOf(t.node), last.epoch, letterOf(l.tenures[last.epoch].node))
	}
}

// connected reports whether nothing was done between the node of an owner and a subscriber since it
// was the owner. It is called with mu held.
func (l *ledger) connected(t *tenure, sub string) bool {
	for link, f := range l.flows {
		if link.sub == sub && f.from == t.node && !f.owned && f.brokenSince(t.began) {
			return false
		}
	}
	return true
}

// everybodyHeard reports whether all subscribers have heard a message of an owner, as far as it may
// not be lost.
func (l *ledger) everybodyHeard(epoch, number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenures[epoch]
	for name, s := range l.subs {
		if last := s.owners[t.channel]; (last.epoch < epoch || last.epoch == epoch && last.number < number) && l.connected(t, name) {
			return false
		}
	}
	return true
}
