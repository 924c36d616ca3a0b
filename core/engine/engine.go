package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// Options are what an engine is made with.
type Options struct {
	// Logger logs the faults of Go handlers, hooks, authorizers and session stores; nil is
	// slog.Default().
	Logger *slog.Logger
	// MaxServiceCalls bounds the unanswered calls of one service that connections
	// offer; 0 is 65,536.
	MaxServiceCalls int
	// CallBudget bounds, in bytes, what Go handlers are given with calls and hold until
	// they return; 0 is 256 MiB. One connection has an eighth of it, or one call. There is
	// room for one call in any case.
	CallBudget int
	// Backplane joins the engine to the other nodes of a cluster; nil if it is alone. It is
	// started before the engine, which it calls, and closed after it.
	Backplane core.Backplane
	// Hooks are called about connections and sessions. BeforeUpgrade is the network's.
	Hooks core.Hooks
	// Tracer records traces; nil records none.
	Tracer core.Tracer
}

// Engine is core.Hub and core.Cluster. Its methods may be called from any goroutine; Connect
// only as core.Hub says.
type Engine struct {
	// Static after construction.
	log       *slog.Logger
	access    accessLog
	closed    closedList
	now       func() time.Time
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	hooks     core.Hooks
	tracer    core.Tracer    // nil if no traces are recorded
	hooking   chan struct{}  // a place for each running Connected and Disconnected
	decide    decider        // of offers
	backplane core.Backplane // nil if it is alone
	changed   chan struct{}  // wakes announce
	workers   workers
	calls     callTable
	handlers  registry
	sessions  attachments
	scratch   sync.Pool // of *scratch
	records   sync.Pool // of *call
	tasks     sync.Pool // of *task

	tapping    sync.Mutex // held while taps come or go
	ticking    sync.WaitGroup
	announcing sync.Mutex // held while changes are announced

	// Atomic.
	taps      atomic.Pointer[tapSet] // nil without; written under tapping
	tapLost   atomic.Uint64          // events
	running   atomic.Int64           // Go handlers that run
	panics    atomic.Uint64
	departing atomic.Int64 // connections that are gone, but for Disconnected
	deleting  atomic.Int64 // sessions that their stores are to forget
	observer  atomic.Pointer[core.Observer]
	telling   atomic.Bool // topics of core.SysTopic

	// Guarded by mu.
	mu        sync.RWMutex
	endpoints map[core.Outlet]*endpoint
	numbered  uint64  // how many records there have been
	tries     []*trie // one for each topic prefix
	sys       *trie   // of what is heard of core.SysTopic
	topics    map[string]*address
	channels  channelSet // owned ones
	services  map[string]*shared
	offered   offered
	claims    claims // the names in channels and services

	// Guarded by mu. Of a cluster.
	nodes    map[core.NodeID]*node
	interest changes[core.Interest]
	sharing  changes[string] // services
}

var _ core.Hub = (*Engine)(nil)

// endpoint is what the engine keeps of an endpoint that has connections.
type endpoint struct {
	// Static after construction.
	*core.Endpoint
	outlet core.Outlet
	number uint64 // an order among outlets
	trie   *trie
	shared core.SharedSessions // Sessions, if they are those of all nodes; else nil

	// Atomic. connections only rises from 0, and the record is only forgotten, under
	// Engine.mu.
	connections atomic.Int64

	// Atomic. Of what is logged.
	refusals, ends pauses

	// Atomic. Of what is observed.
	shown   pauses
	unshown skipped
}

// New returns an engine without connections. Close ends it.
func New(o Options) *Engine { return newEngine(o, time.Now) }

// Start begins to end calls whose time is up, and to announce to other nodes what is heard and
// offered here, until Close. It is called once, before the first connection.
func (e *Engine) Start() {
	e.ticking.Go(e.keepTime)
	if e.backplane != nil {
		e.ticking.Go(e.announce)
	}
}

// newEngine returns an engine whose deadlines pass when expire is called.
func newEngine(o Options, now func() time.Time) *Engine {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	e := &Engine{
		log:       o.Logger,
		access:    accessLog{log: o.Logger, now: now},
		now:       now,
		hooks:     o.Hooks,
		tracer:    o.Tracer,
		hooking:   make(chan struct{}, maxHooks),
		decide:    decideHere,
		endpoints: make(map[core.Outlet]*endpoint),
		topics:    make(map[string]*address),
		sys:       newTrie(""),
		channels:  newChannelSet(),
		services:  make(map[string]*shared),
		backplane: o.Backplane,
		changed:   make(chan struct{}, 1),
		nodes:     make(map[core.NodeID]*node),
		interest:  make(changes[core.Interest]),
		sharing:   make(changes[string]),
	}
	if e.backplane != nil {
		e.decide = decideInCluster
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.workers.init(e.handle, e.ctx.Done())
	e.calls.init(now(), o)
	e.handlers.publish()
	e.sessions.init()
	e.scratch.New = func() any { return new(scratch) }
	// An empty ref is not nil.
	e.records.New = func() any { return &call{words: make([]byte, 0, 16)} }
	e.tasks.New = func() any { return new(task) }
	return e
}

// Connect introduces an open connection. On the connection's loop.
func (e *Engine) Connect(l core.Link) core.Peer {
	p := &peer{engine: e, link: l, endpoint: e.enlist(l)}
	p.noteConnected()
	p.callConnected()
	return p
}

// Publisher returns a publisher in the name of ep, under its topic prefix and its
// counters, for HTTP requests. It owns no channel. Any goroutine.
func (e *Engine) Publisher(ep *core.Endpoint) core.Publisher {
	return publisher{engine: e, endpoint: ep, from: core.FromRequest}
}

// ProgramPublisher is Publisher for the program itself. Any goroutine.
func (e *Engine) ProgramPublisher(ep *core.Endpoint) core.Publisher {
	return publisher{engine: e, endpoint: ep, from: core.FromProgram}
}

// RefuseCalls makes further calls fail with Shutdown. All else goes on. Any goroutine.
func (e *Engine) RefuseCalls() { e.calls.refuse() }

// Drain refuses further calls and waits until those under way have ended, or ctx has.
// Any goroutine.
func (e *Engine) Drain(ctx context.Context) error {
	e.RefuseCalls()
	ticker := time.NewTicker(timers.Tick)
	defer ticker.Stop()
	for e.calls.size() > 0 || e.running.Load() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d calls and %d handlers: %w", e.calls.size(), e.running.Load(), ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// Close ends all calls, cancels what runs off the loops (Go handlers, authorizers, session
// stores) without waiting for it, and ends the engine's own goroutine. What runs off the
// loops from then on is begun with a context that has ended; so connections should be gone
// before. All else goes on. Any goroutine; a second call does nothing.
func (e *Engine) Close() {
	e.EndCalls()
	e.endTaps("the broker shuts down")
	e.cancel()
	e.ticking.Wait()
}

// Calls returns the number of calls of connections here that wait for their answer. Any
// goroutine.
func (e *Engine) Calls() int { return e.calls.own() }

// Panics returns how many panics of Go handlers, hooks, authorizers and session stores
// were caught. Any goroutine.
func (e *Engine) Panics() uint64 { return e.panics.Load() }

// Topics returns the number of topics and patterns that somebody hears; patterns that
// match the same are one. Any goroutine.
func (e *Engine) Topics() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	n := len(e.topics)
	for _, t := range e.tries {
		n += t.size
	}
	return n
}

// enlist counts a connection at the record of its endpoint, which it returns.
func (e *Engine) enlist(l core.Link) *endpoint {
	outlet, settings := l.Outlet(), l.Endpoint()
	e.mu.RLock()
	ep := e.endpoints[outlet]
	if ep != nil {
		ep.connections.Add(1)
	}
	e.mu.RUnlock()
	if ep != nil {
		return ep
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ep = e.endpoints[outlet]; ep == nil {
		e.numbered++
		ep = &endpoint{Endpoint: settings, outlet: outlet, number: e.numbered}
		ep.shared, _ = settings.Sessions.(core.SharedSessions)
		ep.trie = e.trieOf(ep.TopicPrefix)
		e.endpoints[outlet] = ep
	}
	ep.connections.Add(1)
	return ep
}

// delist counts a connection out, which has no subscriptions any more. The record goes
// with the last one.
func (e *Engine) delist(ep *endpoint) {
	if ep.connections.Add(-1) > 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// Another connection may have come, or the record be forgotten already.
	if ep.connections.Load() > 0 || e.endpoints[ep.outlet] != ep {
		return
	}
	delete(e.endpoints, ep.outlet)
	for _, other := range e.endpoints {
		if other.trie == ep.trie {
			return
		}
	}
	e.tries = slices.DeleteFunc(e.tries, func(t *trie) bool { return t == ep.trie })
}

// trieOf returns the trie of the patterns under prefix. The caller holds mu.
func (e *Engine) trieOf(prefix string) *trie {
	for _, t := range e.tries {
		if t.prefix == prefix {
			return t
		}
	}
	t := newTrie(prefix)
	e.tries = append(e.tries, t)
	return t
}

// keepTime ends calls whose time is up until the engine is closed.
func (e *Engine) keepTime() {
	ticker := time.NewTicker(timers.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-ticker.C:
			e.expire()
			e.workers.retireIdle()
		}
	}
}
