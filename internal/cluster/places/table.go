package places

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// settleTime is how long after a connection to the engine nodes that were not heard yet count
	// nevertheless: longer than it takes to hear and to miss one.
	settleTime = 4 * time.Second
	// patience bounds how long a session waits for the cluster, userPatience a user's connection.
	patience     = 5 * time.Second
	userPatience = 2 * time.Second
	// maxTries bounds how often a record that others change at the same time is tried.
	maxTries = 100
	// contention is how long is waited before another try, at most, by chance.
	contention = 10 * time.Millisecond
)

var (
	errAway      = errors.New("the cluster's engine cannot be reached")
	errContended = errors.New("too many nodes change the record at the same time")
)

// Options are static.
type Options struct {
	// ID is this node.
	ID core.NodeID
	// Reached reports whether another node can be reached.
	Reached func(core.NodeID) bool
	// Tell passes the name of a record on to another node, where it comes to Look. It does not block;
	// what it cannot pass on is lost.
	Tell   func(to core.NodeID, name string)
	Stats  *core.ClusterStats
	Logger *slog.Logger
}

// Table is the places that connections of this node have. Any goroutine.
type Table struct {
	// Static after construction.
	o    Options
	now  func() time.Time
	wake chan struct{} // that there is something in dirty

	cluster core.Cluster // static after Start

	// Guarded by mu.
	mu      sync.Mutex
	entries map[string]*entry   // by the names of their records
	dirty   map[*entry]struct{} // those that are to be settled
	store   Store               // nil while there is no connection
	since   time.Time           // of the connection
	changed chan struct{}       // closed, and made anew, when store is set
}

// entry is a session or user that connections here have, or that is being looked at.
type entry struct {
	// Static after construction.
	name string
	busy chan struct{} // has something while the record is read and written

	// Guarded by Table.mu.
	key     string    // of the session; empty for a user
	held    int       // places of connections here
	stored  int       // how many of them the record has, or unknown
	ending  bool      // the session is to be deleted
	closing bool      // it is to be deleted unless somebody has a place in it
	users   int       // who works on it
	check   time.Time // when the record is looked at again
}

// unknown is what a record has after a write that seems to have failed.
const unknown = -1

// New returns a table without places. Nothing runs until Run.
func New(o Options) *Table {
	return &Table{
		o: o, now: time.Now, wake: make(chan struct{}, 1), changed: make(chan struct{}),
		entries: make(map[string]*entry), dirty: make(map[*entry]struct{}),
	}
}

// Start says which engine is told. It is called once, before all other methods.
func (t *Table) Start(c core.Cluster) { t.cluster = c }

// Look handles that another node has changed a record so that this one has to look at it. Anybody
// may have sent it.
func (t *Table) Look(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[name]; e != nil {
		t.settleSoon(e)
	}
}

// entryOf returns the entry of a name, made if need be. The caller holds mu.
func (t *Table) entryOf(name string) *entry {
	e := t.entries[name]
	if e == nil {
		e = &entry{name: name, busy: make(chan struct{}, 1)}
		t.entries[name] = e
	}
	return e
}

// tidy forgets an entry of which nothing is left to know. The caller holds mu.
func (t *Table) tidy(e *entry) {
	if e.held == 0 && e.stored == 0 && !e.ending && !e.closing && e.users == 0 {
		delete(t.entries, e.name)
		delete(t.dirty, e)
	}
}

// settleSoon has a worker write what the record does not have. The caller holds mu.
func (t *Table) settleSoon(e *entry) {
	t.dirty[e] = struct{}{}
	t.wakeWorker()
}

func (t *Table) wakeWorker() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// lock waits until nobody else works on the record of a name. unlock follows.
func (t *Table) lock(ctx context.Context, name string) (*entry, error) {
	t.mu.Lock()
	e := t.entryOf(name)
	e.users++
	t.mu.Unlock()
	select {
	case e.busy <- struct{}{}:
		return e, nil
	case <-ctx.Done():
		t.leave(e)
		return nil, ctx.Err()
	}
}

func (t *Table) unlock(e *entry) {
	<-e.busy
	t.leave(e)
}

func (t *Table) leave(e *entry) { t.later(e, func() {}) }

// later notes what is to be done later, by a user of an entry who leaves it.
func (t *Table) later(e *entry, note func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	note()
	e.users--
	if e.stored != e.held || e.ending || e.closing {
		t.settleSoon(e)
	}
	t.tidy(e)
}

// give gives a place back, if there is one. The record is written later.
func (t *Table) give(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[name]
	if e == nil || e.held == 0 {
		return
	}
	e.held--
	if e.stored != e.held {
		t.settleSoon(e)
	}
	t.tidy(e)
}

// taken notes a place that was written into the record. The entry is locked.
func (t *Table) taken(e *entry, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.held++
	e.key, e.closing = key, false
}

// await returns the store, as soon as there is one.
func (t *Table) await(ctx context.Context) (Store, error) {
	for {
		t.mu.Lock()
		store, changed := t.store, t.changed
		t.mu.Unlock()
		if store != nil {
			return store, nil
		}
		select {
		case <-ctx.Done():
			return nil, errAway
		case <-changed:
		}
	}
}

// connected reports whether there is a connection.
func (t *Table) connected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.store != nil
}

// sight is a record as it was read. decide may change it.
type sight struct {
	*record     // nil if there is none
	held    int // the places that connections here have
	has     int // how many of them the record has
	others  int // places of other nodes
	ending  bool
	closing bool
	now     time.Time
}

// verdict is what is to become of a record.
type verdict int

const (
	keep verdict = iota
	write
	remove
)

// update reads a record, decides what is to become of it, and does that, again if others change it
// meanwhile. decide returns how many places this node has in it then. The entry is locked.
func (t *Table) update(ctx context.Context, e *entry, decide func(*sight) (v verdict, own int, err error)) error {
	for range maxTries {
		store, err := t.await(ctx)
		if err != nil {
			return err
		}
		value, rev, err := store.Get(ctx, e.name)
		if err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		s := t.see(e, value)
		v, own, err := decide(s)
		if err != nil || v == keep {
			t.wrote(e, s.has)
			return err
		}
		told := t.toTell(s.record, v)
		if v == write {
			if own > 0 {
				s.set(t.o.ID, own)
			} else {
				delete(s.Places, t.o.ID)
			}
			err = store.Put(ctx, e.name, s.encode(), rev, s.ttl(s.now))
		} else {
			own = 0
			err = store.Delete(ctx, e.name, rev)
		}
		switch {
		case errors.Is(err, ErrStale):
			roster.Sleep(ctx, rand.N(contention))
			continue
		case err != nil:
			t.wrote(e, unknown)
			return fmt.Errorf("writing a record: %w", err)
		}
		t.wrote(e, own)
		for _, n := range told {
			t.o.Tell(n, e.name)
		}
		return nil
	}
	return errContended
}

// set notes how many places a node has.
func (r *record) set(n core.NodeID, count int) {
	if r.Places == nil {
		r.Places = make(map[core.NodeID]int)
	}
	r.Places[n] = count
}

// see reads a record. What makes no sense is none.
func (t *Table) see(e *entry, value []byte) *sight {
	s := &sight{now: t.now()}
	if value != nil {
		r, err := decode(value)
		switch {
		case err != nil:
			t.o.Stats.Refused.Inc(core.ReasonMalformed)
		case !r.over(s.now):
			s.record = r
		}
	}
	t.mu.Lock()
	s.held, s.ending, s.closing = e.held, e.ending, e.closing
	t.mu.Unlock()
	if s.record != nil {
		s.has = s.Places[t.o.ID]
		for n, count := range s.Places {
			if n != t.o.ID && t.counts(n) {
				s.others += count
			}
		}
	}
	return s
}

// counts reports whether the places of another node count.
func (t *Table) counts(n core.NodeID) bool {
	if t.o.Reached(n) {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.since) < settleTime
}

// toTell returns the nodes that have to look at a record when it is written or removed: those that
// have places in it which it does not have then, and which it loses.
func (t *Table) toTell(r *record, v verdict) (nodes []core.NodeID) {
	if r == nil {
		return nil
	}
	for n := range r.Places {
		if n != t.o.ID && (v == remove || !t.counts(n)) {
			nodes = append(nodes, n)
			delete(r.Places, n)
		}
	}
	return nodes
}

// wrote notes what a record has.
func (t *Table) wrote(e *entry, stored int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.stored = stored
	e.check = t.now().Add(recheck/2 + rand.N(recheck/2))
}

// undecided returns the failure that callers of a session are told, which says nothing of what joins
// the nodes; that is in the log.
func (t *Table) undecided(ctx context.Context, err error) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.o.Logger.Warn("the cluster cannot be asked about a session", logging.Bounded("", ""), slog.String("error", err.Error()))
	}
	return core.Failure{Code: core.Unreachable, Text: "the cluster cannot be asked about the session now"}
}
