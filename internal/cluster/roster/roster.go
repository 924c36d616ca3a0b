package roster

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

const (
	// TickTime is how often the nodes are looked through. Time is counted in ticks: a process
	// that was suspended does not hold the others for dead when it goes on.
	TickTime = 250 * time.Millisecond
	// HelloTime is how often a node says hello, goneTicks for how long it need not be heard.
	HelloTime  = helloTicks * TickTime
	helloTicks = 2
	goneTicks  = 10
	// askTicks is how long the answer of a node to be told everything is waited for, and
	// toldTicks how often one node is answered.
	askTicks  = 4
	toldTicks = 2

	// MaxNodes and those below bound what strangers can make us keep.
	MaxNodes        = 1024
	maxServices     = 1_000_000
	maxServiceBytes = 64 << 20

	// SameAge is the difference up to which two nodes of one name have begun at the same time.
	SameAge = time.Second
)

// ErrTwin says that another node of the cluster has this node's name.
var ErrTwin = errors.New("the name of this node is taken")

// Mail passes on what a node says of itself. Its methods do not block, and keep the order of
// their calls; what they cannot pass on is lost. They borrow the bytes.
type Mail interface {
	// All passes a notice on to all other nodes, where it comes to Notice.
	All(notice []byte)
	// State passes a notice on to one node, where it comes to State.
	State(to core.NodeID, notice []byte)
	// Describe asks a node for all its services; there it comes to Describe.
	Describe(to core.NodeID)
	// Taken tells a node that its name is that of another one, by; there it comes to Taken.
	Taken(to, by core.NodeID)
}

// Options are static.
type Options struct {
	// ID is this node; see NewNode.
	ID core.NodeID
	// Name is what no other node of the cluster has.
	Name   string
	Stats  *core.ClusterStats
	Logger *slog.Logger
	// Fits reports whether the cluster can carry calls of a service. It is UTF-8.
	Fits func(service string) bool
	// Heard and Gone say of a node that it can be reached and no longer, before the engine is
	// told. They are called with Tell held.
	Heard, Gone func(core.NodeID)
}

// Roster is the other nodes of the cluster and the services of their clients, and what this
// node tells them of itself. Any goroutine, unless it says otherwise.
//
// Every node says hello to all others, with the number of notices of services that it has
// sent. Who does not know a node, or has missed one of its notices, asks it for all of them.
type Roster struct {
	// Tell is held while the engine is told of nodes, services and channels: it orders them.
	// Methods that the engine calls do not take it.
	Tell sync.Mutex

	// Static after construction.
	id          core.NodeID
	name        string
	fits        func(string) bool
	stats       *core.ClusterStats
	log         *slog.Logger
	heard, gone func(core.NodeID)

	// Static after Start.
	cluster core.Cluster
	began   time.Time

	mu    sync.Mutex
	known map[core.NodeID]*node
	names int // of the services of all
	bytes int // of these names

	// refuse is told that another node has this node's name. Guarded by Tell.
	refuse func(error)

	// own is held while this node says something about its services: it orders that.
	own      sync.Mutex
	services map[string]struct{}
	changes  uint64
	mail     Mail // nil while there is no connection
}

// New returns a roster in which nobody is.
func New(o Options) *Roster {
	return &Roster{
		id: o.ID, name: o.Name, fits: o.Fits, stats: o.Stats, log: o.Logger, heard: o.Heard, gone: o.Gone,
		known: make(map[core.NodeID]*node), services: make(map[string]struct{}), refuse: func(error) {},
	}
}

// Start says which engine is told. It is called once, before all other methods.
func (r *Roster) Start(c core.Cluster) { r.cluster, r.began = c, time.Now() }

// Age returns for how long this node runs.
func (r *Roster) Age() time.Duration { return time.Since(r.began) }

// node is another node. Guarded by Roster.mu, and changed with Tell held.
type node struct {
	id       core.NodeID
	name     string
	up       int64 // for how many milliseconds it ran when it was heard last
	silent   int   // ticks since it was heard
	asked    int   // ticks until it may be asked for everything again
	told     int   // ticks until it may be told everything again
	changes  uint64
	services map[string]struct{}
	// partial is what has come of a state.
	partial []string
	parts   int
	upTo    uint64
}

// Known reports whether a node can be reached.
func (r *Roster) Known(id core.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[id] != nil
}

// Notice handles what somebody has said of a node to all nodes, State what to this one. Both are
// called by one goroutine at a time.
func (r *Roster) Notice(data []byte) { r.notice(data, false) }

// State handles a part of what another node has told this one of itself; see Notice.
func (r *Roster) State(data []byte) { r.notice(data, true) }

func (r *Roster) notice(data []byte, inbox bool) {
	n, err := decodeNotice(data)
	if err != nil || n.Node == r.id || inbox != (n.Type == noticeState) || slices.ContainsFunc(n.On, r.unfit) {
		r.stats.Refused.Inc(core.ReasonMalformed)
		return
	}
	r.Tell.Lock()
	defer r.Tell.Unlock()
	switch n.Type {
	case noticeHello:
		if n.Name == r.name && r.younger(n) {
			r.refuse(r.nameTaken(n.Node))
			return
		}
		other := r.touch(n)
		if other == nil {
			return
		}
		other.up = n.Up
		r.tellTwins(other)
		if other.changes != n.Changes {
			r.askForState(other)
		}
	case noticeServices:
		r.changed(n)
	case noticeState:
		r.state(n)
	case noticeBye:
		r.remove(n.Node)
	}
}

// unfit reports whether the cluster cannot carry a service.
func (r *Roster) unfit(service string) bool { return !utf8.ValidString(service) || !r.fits(service) }

// SetRefuse says who is told that another node has this node's name.
func (r *Roster) SetRefuse(refuse func(error)) {
	r.Tell.Lock()
	r.refuse = refuse
	r.Tell.Unlock()
}

func (r *Roster) nameTaken(by core.NodeID) error {
	return fmt.Errorf("%w: another node of the cluster (%s) is called %q too; give each node a name of its own", ErrTwin, by, r.name)
}

// Taken handles that another node has found this node's name taken.
func (r *Roster) Taken(by core.NodeID) {
	r.Tell.Lock()
	defer r.Tell.Unlock()
	if by != r.id {
		r.refuse(r.nameTaken(by))
	}
}

// tellTwins looks for another node of n's name, and tells the younger one. They may not hear
// each other: embedded servers of one name refuse each other.
func (r *Roster) tellTwins(n *node) {
	r.mu.Lock()
	var twin *node
	for _, other := range r.known {
		if other != n && other.name == n.name && other.silent <= helloTicks {
			twin = other
		}
	}
	r.mu.Unlock()
	if twin == nil {
		return
	}
	older, younger := twin, n
	if apart := n.up - twin.up; apart > SameAge.Milliseconds() || max(apart, -apart) <= SameAge.Milliseconds() && n.id < twin.id {
		older, younger = n, twin
	}
	r.own.Lock()
	defer r.own.Unlock()
	if r.mail != nil {
		r.mail.Taken(younger.id, older.id)
	}
}

// younger reports whether this node has to leave the name to the one of a hello.
func (r *Roster) younger(n *notice) bool {
	older := time.Duration(n.Up)*time.Millisecond - time.Since(r.began)
	if older.Abs() <= SameAge {
		return n.Node < r.id
	}
	return older > 0
}

// touch returns the node of a notice, which has been heard just now; nil if there are too many.
func (r *Roster) touch(n *notice) *node {
	r.mu.Lock()
	other, isNew := r.known[n.Node], false
	if other == nil {
		if len(r.known) >= MaxNodes {
			r.mu.Unlock()
			r.stats.Refused.Inc(core.ReasonOverload)
			return nil
		}
		other = &node{id: n.Node, services: make(map[string]struct{})}
		r.known[n.Node], isNew = other, true
		r.stats.Nodes.Store(int64(len(r.known)))
	}
	other.silent = 0
	if n.Name != "" {
		other.name = n.Name
	}
	r.mu.Unlock()
	if isNew {
		r.log.Info("a node has joined", logging.Bounded("", "", slog.String("node", string(n.Node))))
		r.heard(n.Node)
		r.cluster.Joined(n.Node)
		// It need not wait for our next one.
		r.Hello()
	}
	return other
}

// changed handles a change of services.
func (r *Roster) changed(n *notice) {
	other := r.touch(n)
	switch {
	case other == nil || n.Changes <= other.changes:
	case n.Changes > other.changes+1 || other.parts > 0:
		r.askForState(other)
	default:
		var changes []core.Service
		for _, name := range n.Off {
			if r.forget(other, name) {
				changes = append(changes, core.Service{Name: name})
			}
		}
		for _, name := range n.On {
			if r.learn(other, name) {
				changes = append(changes, core.Service{Name: name, On: true})
			}
		}
		other.changes = n.Changes
		r.served(other, changes)
	}
}

func (r *Roster) served(by *node, changes []core.Service) {
	if len(changes) > 0 {
		r.cluster.Served(by.id, changes)
	}
}

// learn and forget note a service of a node, and report whether that is new.
func (r *Roster) learn(by *node, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := by.services[name]; ok {
		return false
	}
	if r.names >= maxServices || r.bytes+len(name) > maxServiceBytes {
		r.stats.Refused.Inc(core.ReasonOverload)
		return false
	}
	by.services[name] = struct{}{}
	r.names++
	r.bytes += len(name)
	return true
}

func (r *Roster) forget(by *node, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := by.services[name]; !ok {
		return false
	}
	delete(by.services, name)
	r.names--
	r.bytes -= len(name)
	return true
}

// state handles a part of all services of a node. The parts come in their order; a part that
// is missing makes us ask again, when its next hello comes.
func (r *Roster) state(n *notice) {
	r.mu.Lock()
	other := r.known[n.Node]
	r.mu.Unlock()
	if other == nil || other.asked == 0 || len(other.partial) > maxServices {
		r.stats.Refused.Inc(core.ReasonNotAsked)
		return
	}
	if n.Part == 0 {
		other.partial, other.parts, other.upTo = nil, 0, n.Changes
	}
	if n.Part != other.parts || n.Changes != other.upTo {
		other.partial, other.parts = nil, 0
		return
	}
	other.partial = append(other.partial, n.On...)
	other.parts++
	other.asked = askTicks
	if !n.Last {
		return
	}
	all := make(map[string]struct{}, len(other.partial))
	for _, name := range other.partial {
		all[name] = struct{}{}
	}
	var changes []core.Service
	for name := range other.services {
		if _, ok := all[name]; !ok {
			changes = append(changes, core.Service{Name: name})
		}
	}
	for _, c := range changes {
		r.forget(other, c.Name)
	}
	for name := range all {
		if r.learn(other, name) {
			changes = append(changes, core.Service{Name: name, On: true})
		}
	}
	other.changes, other.asked = n.Changes, 0
	other.partial, other.parts = nil, 0
	r.served(other, changes)
}

// askForState asks a node for all its services, unless that was done just now.
func (r *Roster) askForState(other *node) {
	if other.asked > 0 {
		return
	}
	other.asked = askTicks
	r.own.Lock()
	defer r.own.Unlock()
	if r.mail != nil {
		r.mail.Describe(other.id)
	}
}

// Describe tells a node that has asked all services of this one.
func (r *Roster) Describe(to core.NodeID) {
	r.mu.Lock()
	other := r.known[to]
	allowed := other != nil && other.told == 0
	if allowed {
		other.told = toldTicks
	}
	r.mu.Unlock()
	if !allowed {
		// It asks again.
		r.stats.Refused.Inc(core.ReasonRate)
		return
	}
	r.own.Lock()
	defer r.own.Unlock()
	names := make([]string, 0, len(r.services))
	for name := range r.services {
		names = append(names, name)
	}
	part := 0
	chunks(names, func(group []string, last bool) {
		n := notice{Type: noticeState, Node: r.id, Changes: r.changes, On: group, Part: part, Last: last}
		part++
		if r.mail != nil {
			r.mail.State(to, n.encode())
		}
	})
}

// Serve tells the others of changes of this node's services.
func (r *Roster) Serve(changes []core.Service) {
	r.own.Lock()
	defer r.own.Unlock()
	var on, off []string
	for _, c := range changes {
		if r.unfit(c.Name) {
			if c.On {
				r.stats.Dropped.Inc(core.ReasonTooLarge)
				r.log.Warn("a service has no name that the cluster can carry: other nodes cannot call it",
					logging.Bounded("", core.ReasonTooLarge.String()), logging.Quoted("service", c.Name))
			}
			continue
		}
		if c.On {
			r.services[c.Name] = struct{}{}
			on = append(on, c.Name)
		} else {
			delete(r.services, c.Name)
			off = append(off, c.Name)
		}
	}
	say := func(n notice) {
		r.changes++
		n.Type, n.Node, n.Changes = noticeServices, r.id, r.changes
		if r.mail != nil {
			r.mail.All(n.encode())
		}
	}
	if len(off) > 0 {
		chunks(off, func(group []string, _ bool) { say(notice{Off: group}) })
	}
	if len(on) > 0 {
		chunks(on, func(group []string, _ bool) { say(notice{On: group}) })
	}
}

// Attach uses a connection; nil is the end of one.
func (r *Roster) Attach(m Mail) {
	r.own.Lock()
	r.mail = m
	r.own.Unlock()
}

// Hello says hello to all.
func (r *Roster) Hello() {
	r.say(notice{Type: noticeHello, Node: r.id, Name: r.name, Up: time.Since(r.began).Milliseconds()})
}

// Bye says goodbye to all.
func (r *Roster) Bye() { r.say(notice{Type: noticeBye, Node: r.id}) }

func (r *Roster) say(n notice) {
	r.own.Lock()
	defer r.own.Unlock()
	n.Changes = r.changes
	if r.mail != nil {
		r.mail.All(n.encode())
	}
}

// Tick ends the nodes that were not heard for too long. It is called once in each TickTime.
func (r *Roster) Tick() {
	r.Tell.Lock()
	defer r.Tell.Unlock()
	var silent []core.NodeID
	r.mu.Lock()
	for id, n := range r.known {
		n.asked = max(n.asked-1, 0)
		n.told = max(n.told-1, 0)
		if n.silent++; n.silent > goneTicks {
			silent = append(silent, id)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(silent, func(a, b core.NodeID) int { return cmp.Compare(a, b) })
	for _, id := range silent {
		r.remove(id)
	}
}

// remove ends a node. It is called with Tell held.
func (r *Roster) remove(id core.NodeID) {
	r.mu.Lock()
	n := r.known[id]
	if n != nil {
		delete(r.known, id)
		for name := range n.services {
			r.names--
			r.bytes -= len(name)
		}
		r.stats.Nodes.Store(int64(len(r.known)))
	}
	r.mu.Unlock()
	if n == nil {
		return
	}
	r.log.Info("a node is gone", logging.Bounded("", "", slog.String("node", string(id))))
	r.gone(id)
	r.cluster.Gone(id)
}

// All returns the nodes that can be reached.
func (r *Roster) All() (ids []core.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.known {
		ids = append(ids, id)
	}
	return ids
}
