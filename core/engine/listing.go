package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

// This file is what an operator asks of the tables. They may be big, and a publish wants their lock: so who
// lists them lets go of it again and again. What comes or goes meanwhile is listed or not; what is there all the
// time comes once, because a map may be changed between two steps of a range over it.

const (
	// lookTime is about how long a list holds a lock.
	lookTime = 50 * time.Microsecond
	// lookSteps is how many steps it makes between two looks at the clock.
	lookSteps = 32
	// lookBatch is how much is found until somebody looks at it.
	lookBatch = 1024
)

// look is a list that is being made. It holds a lock, but for pauses in which what was found is looked at.
type look[T any] struct {
	ctx   context.Context
	lock  sync.Locker
	since time.Time
	steps int
	found []T
	visit func([]T) // under no lock
}

// newLook begins a list, and takes the lock. end gives it back.
func newLook[T any](ctx context.Context, lock sync.Locker, visit func([]T)) *look[T] {
	lock.Lock()
	return &look[T]{ctx: ctx, lock: lock, since: time.Now(), visit: visit}
}

// each returns a function that calls visit for each element.
func each[T any](visit func(T)) func([]T) {
	return func(some []T) {
		for _, one := range some {
			visit(one)
		}
	}
}

// add adds what was found.
func (l *look[T]) add(one T) { l.found = append(l.found, one) }

// step counts n steps, after each of which the lock may be let go of. It reports false if nobody waits for the
// list any more.
func (l *look[T]) step(n int) bool {
	if l.steps += n; l.steps < lookSteps && len(l.found) < lookBatch {
		return true
	}
	l.steps = 0
	if len(l.found) < lookBatch && time.Since(l.since) < lookTime {
		return true
	}
	l.lock.Unlock()
	l.show()
	l.lock.Lock()
	l.since = time.Now()
	return l.ctx.Err() == nil
}

func (l *look[T]) show() {
	l.visit(l.found)
	clear(l.found)
	l.found = l.found[:0]
}

// end gives the lock back. The error says that nobody waits any more.
func (l *look[T]) end() error {
	l.lock.Unlock()
	l.show()
	if err := l.ctx.Err(); err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	return nil
}

// ListTopics calls visit with each topic and pattern that somebody hears, on the calling goroutine and under no
// lock. Not on an event loop.
func (e *Engine) ListTopics(ctx context.Context, visit func(core.TopicInfo)) error {
	l := newLook(ctx, e.mu.RLocker(), each(visit))
	for _, a := range e.topics {
		if !listAddress(l, a, "") {
			break
		}
	}
	for _, t := range slices.Clone(e.tries) {
		if !listNode(l, t, &t.root) || !listAddress(l, t.nothing.end, t.prefix) {
			break
		}
	}
	return l.end()
}

// listNode adds the patterns of a node and those below it.
func listNode(l *look[core.TopicInfo], t *trie, n *trieNode) bool {
	if n == nil {
		return true
	}
	if !listAddress(l, n.end, t.prefix) || !listAddress(l, n.rest, t.prefix) || !listNode(l, t, n.plus) || !listNode(l, t, n.any) {
		return false
	}
	for _, child := range n.literal {
		if !listNode(l, t, child) {
			return false
		}
	}
	return true
}

// listAddress adds an address, if there is one.
func listAddress(l *look[core.TopicInfo], a *address, prefix string) bool {
	if a == nil {
		return l.step(1)
	}
	n := 0
	// Index by index, because audiences may come and go in each step.
	for i := 0; i < len(a.audiences); i++ {
		n += a.audiences[i].size
		if !l.step(1) {
			return false
		}
	}
	if n > 0 {
		l.add(core.TopicInfo{Name: a.name, Prefix: prefix, Pattern: a.place != nil, Subscribers: n})
	}
	return l.step(1)
}

// TopicHeard returns who hears a topic or pattern of ListTopics; nobody if there is none any more. Not on an event
// loop.
func (e *Engine) TopicHeard(ctx context.Context, t core.TopicInfo) (core.HeardTopic, error) {
	var tally tally
	l := newLook(ctx, e.mu.RLocker(), tally.add)
	if a := e.addressOf(t); a != nil {
		for i := 0; i < len(a.audiences); i++ {
			l.add(heardIn(a.audiences[i]))
			if !l.step(1) {
				break
			}
		}
	}
	err := l.end()
	if len(tally) == 0 {
		return core.HeardTopic{TopicInfo: core.TopicInfo{Name: t.Name, Prefix: t.Prefix, Pattern: t.Pattern}}, err
	}
	return *tally[0], err
}

// addressOf returns an address of ListTopics; nil if it is gone. The caller holds mu.
func (e *Engine) addressOf(t core.TopicInfo) *address {
	if !t.Pattern {
		return e.topics[t.Name]
	}
	for _, trie := range e.tries {
		if trie.prefix == t.Prefix {
			return trie.find(t.Name)
		}
	}
	return nil
}

// TopicAudience returns the topic and the patterns by which a message on a whole topic would be heard here. Not on
// an event loop.
func (e *Engine) TopicAudience(ctx context.Context, topic string) ([]core.HeardTopic, error) {
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	e.mu.RLock()
	e.match(s, []byte(topic))
	e.mu.RUnlock()
	var tally tally
	l := newLook(ctx, e.mu.RLocker(), tally.add)
	for _, aud := range s.hits {
		l.add(heardIn(aud))
		if !l.step(1) {
			break
		}
	}
	err := l.end()
	all := make([]core.HeardTopic, 0, len(tally))
	for _, one := range tally {
		all = append(all, *one)
	}
	return all, err
}

// heard is what an audience adds to its address.
type heard struct {
	topic    core.TopicInfo
	endpoint *core.Endpoint
}

// heardIn returns what an audience is. The caller holds Engine.mu.
func heardIn(aud *audience) heard {
	t := core.TopicInfo{Name: aud.address.name, Subscribers: aud.size}
	if p := aud.address.place; p != nil {
		t.Pattern, t.Prefix = true, p.trie.prefix
	}
	return heard{t, aud.endpoint.Endpoint}
}

// tally adds audiences up. Those of a topic come one after the other.
type tally []*core.HeardTopic

func (t *tally) add(some []heard) {
	for _, one := range some {
		if one.topic.Subscribers == 0 {
			continue
		}
		last := len(*t) - 1
		if last < 0 || (*t)[last].Name != one.topic.Name || (*t)[last].Prefix != one.topic.Prefix || (*t)[last].Pattern != one.topic.Pattern {
			*t = append(*t, &core.HeardTopic{TopicInfo: core.TopicInfo{Name: one.topic.Name, Prefix: one.topic.Prefix, Pattern: one.topic.Pattern}})
			last++
		}
		topic := (*t)[last]
		topic.Subscribers += one.topic.Subscribers
		i, found := slices.BinarySearchFunc(topic.By, one.endpoint.Name, func(h core.Hearing, name string) int { return cmp.Compare(h.Endpoint, name) })
		if !found {
			topic.By = slices.Insert(topic.By, i, core.Hearing{Endpoint: one.endpoint.Name, Protocol: one.endpoint.Protocol})
		}
		topic.By[i].Subscribers += one.topic.Subscribers
	}
}

// holderOf returns who has something. Under no lock.
func holderInfoOf(p *peer) core.HolderInfo {
	return core.HolderInfo{Connection: p.link.ID(), Endpoint: p.endpoint.Name, User: p.link.Identity().User()}
}

// ListChannels calls visit with each channel that a connection of this process owns, as ListTopics. Not on an event
// loop.
func (e *Engine) ListChannels(ctx context.Context, visit func(core.ChannelInfo)) error {
	return e.eachChannel(ctx, func(c *channel, owner *peer) {
		visit(core.ChannelInfo{Name: c.name, Services: len(c.services), Owner: holderInfoOf(owner)})
	})
}

// eachChannel calls visit with each channel of connections of this process, under no lock.
func (e *Engine) eachChannel(ctx context.Context, visit func(*channel, *peer)) error {
	l := newLook(ctx, e.mu.RLocker(), each(func(c *channel) {
		if p, here := c.owner.(*peer); here {
			visit(c, p)
		}
	}))
	for _, same := range e.channels.byHash {
		l.found = append(l.found, same...)
		if !l.step(1) {
			break
		}
	}
	return l.end()
}

// ListServices calls visit with each service that a connection of this process, a Go handler or the configuration
// answers, as ListTopics. Not on an event loop.
func (e *Engine) ListServices(ctx context.Context, visit func(core.ServiceInfo)) error {
	for _, one := range e.handlers.list() {
		visit(one)
	}
	l := newLook(ctx, e.mu.RLocker(), func(some []offering) { e.showOffered(some, visit) })
	for _, s := range e.services {
		one := offering{name: s.name, service: &s.service, kind: core.SharedService, offers: s.offered}
		for _, o := range s.offers[:min(s.offered, core.MaxAnswerers)] {
			if p, here := o.owner.(*peer); here {
				one.by = append(one.by, p)
			}
		}
		if s.offered > 0 {
			l.add(one)
		}
		if !l.step(1 + len(one.by)) {
			break
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	var some []offering
	err := e.eachChannel(ctx, func(c *channel, owner *peer) {
		for i := range c.services {
			some = append(some, offering{name: string(c.title(i).appendTo(nil)), service: &c.services[i], kind: core.OwnedService, by: []*peer{owner}, offers: 1})
			if len(some) == lookBatch {
				e.showOffered(some, visit)
				some = some[:0]
			}
		}
	})
	e.showOffered(some, visit)
	return err
}

// offering is a service that connections answer.
type offering struct {
	name    string
	service *service
	kind    core.ServiceKind
	by      []*peer
	offers  int
}

// showOffered calls visit with services.
func (e *Engine) showOffered(some []offering, visit func(core.ServiceInfo)) {
	pending := make([]int, len(some))
	for from := 0; from < len(some); from += lookSteps {
		e.calls.pending(some[from:min(from+lookSteps, len(some))], pending[from:])
	}
	for i, one := range some {
		info := core.ServiceInfo{Name: one.name, Kind: one.kind, Offers: one.offers, Pending: pending[i], Bound: e.calls.perService}
		for _, by := range one.by {
			info.Answerers = append(info.Answerers, holderInfoOf(by))
		}
		visit(info)
	}
}

// pending says how many calls of services have no answer yet.
func (t *callTable) pending(some []offering, pending []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, one := range some {
		pending[i] = one.service.unanswered
	}
}

// list returns the services that Go handlers and the configuration answer.
func (r *registry) list() (all []core.ServiceInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(kind core.ServiceKind, list ...registered) {
		for _, one := range list {
			all = append(all, core.ServiceInfo{Name: one.match, Kind: kind, Pending: one.places.inUse(), Bound: one.places.size})
		}
	}
	add(core.HandledService, r.handlers...)
	add(core.UpstreamService, r.first...)
	add(core.UpstreamService, r.last...)
	if r.otherwise.handler != nil {
		add(core.OtherService, r.otherwise)
	}
	return all
}

// ListSessions calls visit with each session that has connections here, as ListTopics. Not on an event loop.
func (e *Engine) ListSessions(ctx context.Context, visit func(core.SessionInfo)) error {
	type placed struct {
		core.SessionInfo
		peers []*peer
	}
	l := newLook(ctx, &e.sessions.mu, each(func(one placed) {
		for _, p := range one.peers {
			if s := p.session.Load(); s != nil && s.Key == one.Key && one.Created.IsZero() {
				one.Created, one.LastLookup = s.Created, s.LastLookup
			}
			one.Endpoint = p.endpoint.Name
			one.Connections = append(one.Connections, p.link.ID())
		}
		slices.Sort(one.Connections)
		visit(one.SessionInfo)
	}))
	for key, a := range e.sessions.byKey {
		one := placed{SessionInfo: core.SessionInfo{Key: key, Places: len(a.places), Ending: a.ending}}
		for p := range a.places {
			if one.peers = append(one.peers, p); len(one.peers) == core.MaxAnswerers {
				break
			}
		}
		l.add(one)
		if !l.step(1 + len(one.peers)) {
			break
		}
	}
	return l.end()
}
