package nats

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

const (
	// nodeTick is how often the nodes are looked through. Time is counted in ticks: a process
	// that was suspended does not hold the others for dead when it goes on.
	nodeTick = 250 * time.Millisecond
	// helloTicks is how often a node says hello, goneTicks for how long it need not be heard.
	helloTicks = 2
	goneTicks  = 10
	// askTicks is how long the answer of a node to be told everything is waited for, and
	// toldTicks how often one node is answered.
	askTicks  = 4
	toldTicks = 2

	// Bounds of what strangers can make us keep.
	maxNodes        = 1024
	maxServices     = 1_000_000
	maxServiceBytes = 64 << 20

	// sameAge is the difference up to which two nodes of one name have begun at the same time.
	sameAge = time.Second
)

// nodes are the other nodes of the cluster and the services of their clients, and what this
// node tells them of itself.
//
// Every node says hello to all others, with the number of notices of services that it has
// sent. Who does not know a node, or has missed one of its notices, asks it for all of them.
type nodes struct {
	// Static after construction.
	id       core.NodeID
	name     string
	subjects subjects
	stats    *core.ClusterStats
	log      *slog.Logger
	began    time.Time
	// tell is held while the cluster is told of nodes, services and channels: it orders them.
	// Methods that the engine calls do not take it.
	tell    *sync.Mutex
	cluster core.Cluster // static after Start
	// heard and gone say of a node that it can be reached and no longer; called with tell held.
	heard, gone func(core.NodeID)

	mu    sync.Mutex
	known map[core.NodeID]*node
	names int // of the services of all
	bytes int // of these names

	// refuse is told that another node has this node's name. Guarded by tell.
	refuse func(error)

	// own is held while this node says something about its services: it orders that.
	own      sync.Mutex
	services map[string]struct{}
	changes  uint64
	nc       *natsgo.Conn // nil while there is none
}

// node is another node. Guarded by nodes.mu, and changed with nodes.tell held.
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

func (ns *nodes) isKnown(id core.NodeID) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.known[id] != nil
}

// notice handles what somebody says about a node. It is called by one goroutine at a time.
func (ns *nodes) notice(data []byte, inbox bool) {
	n, err := decodeNotice(data)
	if err != nil || n.Node == ns.id || inbox != (n.Type == noticeState) {
		ns.stats.Refused.Inc(core.ReasonMalformed)
		return
	}
	ns.tell.Lock()
	defer ns.tell.Unlock()
	switch n.Type {
	case noticeHello:
		if n.Name == ns.name && ns.younger(n) {
			ns.refuse(ns.nameTaken(n.Node))
			return
		}
		other := ns.touch(n)
		if other == nil {
			return
		}
		other.up = n.Up
		ns.tellTwins(other)
		if other.changes != n.Changes {
			ns.askForState(other)
		}
	case noticeServices:
		ns.changed(n)
	case noticeState:
		ns.state(n)
	case noticeBye:
		ns.remove(n.Node)
	}
}

// setRefuse says who is told that another node has this node's name.
func (ns *nodes) setRefuse(refuse func(error)) {
	ns.tell.Lock()
	ns.refuse = refuse
	ns.tell.Unlock()
}

func (ns *nodes) nameTaken(by core.NodeID) error {
	return fmt.Errorf("%w: another node of the cluster (%s) is called %q too; give each node a name of its own", errTwin, by, ns.name)
}

// taken handles that another node has found this node's name taken.
func (ns *nodes) taken(by core.NodeID) {
	ns.tell.Lock()
	defer ns.tell.Unlock()
	if by != ns.id {
		ns.refuse(ns.nameTaken(by))
	}
}

// tellTwins looks for another node of n's name, and tells the younger one. They may not hear
// each other: embedded servers of one name refuse each other.
func (ns *nodes) tellTwins(n *node) {
	ns.mu.Lock()
	var twin *node
	for _, other := range ns.known {
		if other != n && other.name == n.name && other.silent <= helloTicks {
			twin = other
		}
	}
	ns.mu.Unlock()
	if twin == nil {
		return
	}
	older, younger := twin, n
	if apart := n.up - twin.up; apart > sameAge.Milliseconds() || max(apart, -apart) <= sameAge.Milliseconds() && n.id < twin.id {
		older, younger = n, twin
	}
	ns.own.Lock()
	defer ns.own.Unlock()
	if ns.nc != nil {
		_ = send(ns.nc, ns.subjects.node(younger.id), natsgo.Header{typeHeader: {typeTaken}, fromHeader: {string(older.id)}}, nil)
	}
}

// younger reports whether this node has to leave the name to the one of a hello.
func (ns *nodes) younger(n *notice) bool {
	older := time.Duration(n.Up)*time.Millisecond - time.Since(ns.began)
	if older.Abs() <= sameAge {
		return n.Node < ns.id
	}
	return older > 0
}

// touch returns the node of a notice, which has been heard just now; nil if there are too many.
func (ns *nodes) touch(n *notice) *node {
	ns.mu.Lock()
	other, isNew := ns.known[n.Node], false
	if other == nil {
		if len(ns.known) >= maxNodes {
			ns.mu.Unlock()
			ns.stats.Refused.Inc(core.ReasonOverload)
			return nil
		}
		other = &node{id: n.Node, services: make(map[string]struct{})}
		ns.known[n.Node], isNew = other, true
		ns.stats.Nodes.Store(int64(len(ns.known)))
	}
	other.silent = 0
	if n.Name != "" {
		other.name = n.Name
	}
	ns.mu.Unlock()
	if isNew {
		ns.log.Info("a node has joined", logging.Bounded("", "", slog.String("node", string(n.Node))))
		ns.heard(n.Node)
		// It need not wait for our next one.
		ns.hello()
	}
	return other
}

// changed handles a change of services.
func (ns *nodes) changed(n *notice) {
	other := ns.touch(n)
	switch {
	case other == nil || n.Changes <= other.changes:
	case n.Changes > other.changes+1 || other.parts > 0:
		ns.askForState(other)
	default:
		var changes []core.Service
		for _, name := range n.Off {
			if ns.forget(other, name) {
				changes = append(changes, core.Service{Name: name})
			}
		}
		for _, name := range n.On {
			if ns.learn(other, name) {
				changes = append(changes, core.Service{Name: name, On: true})
			}
		}
		other.changes = n.Changes
		ns.served(other, changes)
	}
}

func (ns *nodes) served(by *node, changes []core.Service) {
	if len(changes) > 0 {
		ns.cluster.Served(by.id, changes)
	}
}

// learn and forget note a service of a node, and report whether that is new.
func (ns *nodes) learn(by *node, name string) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if _, ok := by.services[name]; ok {
		return false
	}
	if ns.names >= maxServices || ns.bytes+len(name) > maxServiceBytes {
		ns.stats.Refused.Inc(core.ReasonOverload)
		return false
	}
	by.services[name] = struct{}{}
	ns.names++
	ns.bytes += len(name)
	return true
}

func (ns *nodes) forget(by *node, name string) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if _, ok := by.services[name]; !ok {
		return false
	}
	delete(by.services, name)
	ns.names--
	ns.bytes -= len(name)
	return true
}

// state handles a part of all services of a node. The parts come in their order; a part that
// is missing makes us ask again, when its next hello comes.
func (ns *nodes) state(n *notice) {
	ns.mu.Lock()
	other := ns.known[n.Node]
	ns.mu.Unlock()
	if other == nil || other.asked == 0 || len(other.partial) > maxServices {
		ns.stats.Refused.Inc(core.ReasonNotAsked)
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
		ns.forget(other, c.Name)
	}
	for name := range all {
		if ns.learn(other, name) {
			changes = append(changes, core.Service{Name: name, On: true})
		}
	}
	other.changes, other.asked = n.Changes, 0
	other.partial, other.parts = nil, 0
	ns.served(other, changes)
}

// askForState asks a node for all its services, unless that was done just now.
func (ns *nodes) askForState(other *node) {
	if other.asked > 0 {
		return
	}
	other.asked = askTicks
	ns.own.Lock()
	defer ns.own.Unlock()
	if ns.nc != nil {
		_ = send(ns.nc, ns.subjects.node(other.id), natsgo.Header{typeHeader: {typeDescribe}, fromHeader: {string(ns.id)}}, nil)
	}
}

// describe tells a node that has asked all services of this one.
func (ns *nodes) describe(to core.NodeID) {
	ns.mu.Lock()
	other := ns.known[to]
	allowed := other != nil && other.told == 0
	if allowed {
		other.told = toldTicks
	}
	ns.mu.Unlock()
	if !allowed {
		// It asks again.
		ns.stats.Refused.Inc(core.ReasonRate)
		return
	}
	ns.own.Lock()
	defer ns.own.Unlock()
	names := make([]string, 0, len(ns.services))
	for name := range ns.services {
		names = append(names, tokensOf(name))
	}
	part := 0
	chunks(names, func(group []string, last bool) {
		n := notice{Type: noticeState, Node: ns.id, Changes: ns.changes, On: group, Part: part, Last: last}
		part++
		if ns.nc != nil {
			_ = send(ns.nc, ns.subjects.node(to), natsgo.Header{typeHeader: {typeState}}, n.encode())
		}
	})
}

// serve tells the others of changes of this node's services.
func (ns *nodes) serve(changes []core.Service) {
	ns.own.Lock()
	defer ns.own.Unlock()
	var on, off []string
	for _, c := range changes {
		tokens := tokensOf(c.Name)
		if len(tokens) > maxSubject || !utf8.ValidString(c.Name) {
			if c.On {
				ns.stats.Dropped.Inc(core.ReasonTooLarge)
				ns.log.Warn("a service has no name that the cluster can carry: other nodes cannot call it",
					logging.Bounded("", core.ReasonTooLarge.String()), logging.Quoted("service", c.Name))
			}
			continue
		}
		if c.On {
			ns.services[c.Name] = struct{}{}
			on = append(on, tokens)
		} else {
			delete(ns.services, c.Name)
			off = append(off, tokens)
		}
	}
	say := func(n notice) {
		ns.changes++
		n.Type, n.Node, n.Changes = noticeServices, ns.id, ns.changes
		if ns.nc != nil {
			_ = send(ns.nc, ns.subjects.nodes(), nil, n.encode())
		}
	}
	if len(off) > 0 {
		chunks(off, func(group []string, _ bool) { say(notice{Off: group}) })
	}
	if len(on) > 0 {
		chunks(on, func(group []string, _ bool) { say(notice{On: group}) })
	}
}

func tokensOf(name string) string { return string(appendTokens(nil, name)) }

// attach uses a connection; nil is the end of one.
func (ns *nodes) attach(nc *natsgo.Conn) {
	ns.own.Lock()
	ns.nc = nc
	ns.own.Unlock()
}

// hello says hello to all.
func (ns *nodes) hello() {
	ns.say(notice{Type: noticeHello, Node: ns.id, Name: ns.name, Up: time.Since(ns.began).Milliseconds()})
}

// bye says goodbye to all.
func (ns *nodes) bye() { ns.say(notice{Type: noticeBye, Node: ns.id}) }

func (ns *nodes) say(n notice) {
	ns.own.Lock()
	defer ns.own.Unlock()
	n.Changes = ns.changes
	if ns.nc != nil {
		_ = send(ns.nc, ns.subjects.nodes(), nil, n.encode())
	}
}

// tick ends the nodes that were not heard for too long.
func (ns *nodes) tick() {
	ns.tell.Lock()
	defer ns.tell.Unlock()
	var silent []core.NodeID
	ns.mu.Lock()
	for id, n := range ns.known {
		n.asked = max(n.asked-1, 0)
		n.told = max(n.told-1, 0)
		if n.silent++; n.silent > goneTicks {
			silent = append(silent, id)
		}
	}
	ns.mu.Unlock()
	slices.SortFunc(silent, func(a, b core.NodeID) int { return cmp.Compare(a, b) })
	for _, id := range silent {
		ns.remove(id)
	}
}

// remove ends a node. It is called with tell held.
func (ns *nodes) remove(id core.NodeID) {
	ns.mu.Lock()
	n := ns.known[id]
	if n != nil {
		delete(ns.known, id)
		for name := range n.services {
			ns.names--
			ns.bytes -= len(name)
		}
		ns.stats.Nodes.Store(int64(len(ns.known)))
	}
	ns.mu.Unlock()
	if n == nil {
		return
	}
	ns.log.Info("a node is gone", logging.Bounded("", "", slog.String("node", string(id))))
	ns.gone(id)
	ns.cluster.Gone(id)
}
