package soak

import (
	"fmt"
	"slices"
	"time"
)

// fault is something that is done to a cluster, and undone after a while.
type fault int

const (
	// These are done to a node.
	killed  fault = iota
	quit          // by SIGTERM
	stopped       // by SIGSTOP
	// These are done to a server that joins the nodes.
	serverKilled
	serverStopped
	emptied // what a Redis keeps is gone, and it does not know
	// These are done between nodes: nothing comes through, and nobody notices.
	isolated // between a node and all others
	parted   // between two nodes
	muted    // from one node to another one
)

var faultNames = []string{"killed", "quit", "stopped", "serverkilled", "serverstopped", "emptied", "isolated", "parted", "muted"}

func (f fault) String() string { return faultNames[f] }

// incident is a fault, from just before it is done until it is proven that all is well again. Guarded by
// ledger.mu once it is open.
type incident struct {
	// Static.
	what        fault
	node, other int // what it is done to; other is the second one of two
	// weight is how much it does to the keeping of channels: with two together, channels may be lost
	// wherever their owners are.
	weight int

	recovered bool // it is undone, and its nodes are well: what is said from now on arrives
	// opened, recoveredAt and over are when it was done, recovered, and proven to be over; 0 is not yet.
	opened, recoveredAt, over uint64
}

func (w *incident) String() string {
	switch w.what {
	case serverKilled, serverStopped, emptied:
		return fmt.Sprintf("server %d is %v", w.node+1, w.what)
	case parted:
		return fmt.Sprintf("%s and %s are parted", letterOf(w.node), letterOf(w.other))
	case muted:
		return fmt.Sprintf("%s is muted for %s", letterOf(w.node), letterOf(w.other))
	}
	return fmt.Sprintf("%s is %v", letterOf(w.node), w.what)
}

// ofNode reports whether it is done to a node, ofServer and ofLink the same of the others.
func (w *incident) ofNode() bool   { return w.what <= stopped }
func (w *incident) ofServer() bool { return w.what >= serverKilled && w.what <= emptied }

func (w *incident) ofLink() bool { return w.what >= isolated }

// cuts reports whether something may be lost from one node to another one, or from a node to itself.
func (w *incident) cuts(from, to int) bool {
	switch {
	case w.ofNode():
		return from == w.node || to == w.node
	case w.what == emptied:
		return false // that is about channels only
	case w.ofServer():
		return from != to
	case w.what == isolated:
		return from != to && (from == w.node || to == w.node)
	}
	// TCP needs both ways for one.
	return from == w.node && to == w.other || from == w.other && to == w.node
}

// nodes returns the nodes that have to be well before it has recovered.
func (w *incident) nodes() (all []int) {
	if w.ofNode() {
		return []int{w.node}
	}
	for n := range size {
		for other := range size {
			if w.cuts(n, other) || w.ofServer() {
				all = append(all, n)
				break
			}
		}
	}
	return all
}

// span is a range of messages of a publisher.
type span struct{ first, last int }

// flow is a way between two clients: of the messages of a publisher to a subscriber, or of the calls
// of a caller to who answers them. A fault breaks it. When all that was done to it is undone, what is
// said from then on has to arrive; the first thing that does so proves that it is whole again, and
// what was said between may be lost. So no clock decides what may be lost. Guarded by ledger.mu.
type flow struct {
	// Static.
	from, to int  // the nodes
	owned    bool // somebody has to own a channel for it

	covered bool // something is done to it now
	broken  bool // it is not proven that it is whole
	first   int  // while it is broken: the first message that may be lost
	proof   int  // what proves it is later than this: the number of a message, the time of a call
	windows []span
	await   int    // has to arrive before the next fault; 0 is nothing
	wholeAt uint64 // when it became whole
}

// review brings a flow up to date with what is done to it. now is the number of its last message, or
// the time.
func (f *flow) review(covered bool, now int) {
	switch {
	case covered && !f.covered && !f.broken:
		f.broken, f.first, f.await = true, now+1, now
	case !covered && f.covered:
		f.proof = now
	}
	f.covered = covered
}

// proven notes that something has arrived, and reports whether it proves that the flow is whole.
func (f *flow) proven(number int, clock uint64) bool {
	if !f.broken || f.covered || number <= f.proof {
		return false
	}
	f.windows = append(f.windows, span{f.first, number - 1})
	f.broken, f.wholeAt = false, clock
	return true
}

// excuses reports whether a message may be lost.
func (f *flow) excuses(number int) bool {
	return f.broken && number >= f.first ||
		slices.ContainsFunc(f.windows, func(s span) bool { return s.first <= number && number <= s.last })
}

// brokenSince reports whether it was broken at some time since then.
func (f *flow) brokenSince(clock uint64) bool { return f.broken || f.wholeAt > clock }

// now is how times are written.
func now() string { return time.Now().UTC().Format("15:04:05.000") }
