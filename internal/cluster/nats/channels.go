package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// claimRecord is the value of a channel's key.
type claimRecord struct {
	// Node and Lease say who has the channel, and until when: as long as the lease is there.
	Node  core.NodeID `json:"node"`
	Lease string      `json:"lease"`
	// Claim is a number that the node has given this claim.
	Claim    uint64   `json:"claim"`
	Services []string `json:"services"`
}

// leaseRecord is the value of a lease's key.
type leaseRecord struct {
	Node core.NodeID `json:"node"`
	Name string      `json:"name"`
}

// event is an entry of the bucket's log. An event without channel and lease says that its key
// has no value that makes sense.
type event struct {
	rev     uint64 // its position
	key     string
	channel *claimRecord // of the channel of the key
	lease   *leaseRecord // of the lease of the key
}

var errRecord = errors.New("a value in the bucket makes no sense")

// decodeEvent reads an entry that anybody may have written. The event stands also if there is
// an error: what its key had before is gone.
func decodeEvent(rev uint64, key string, value []byte) (event, error) {
	e := event{rev: rev, key: key}
	var into any
	_, isChannel := channelOf(key)
	lease, isLease := strings.CutPrefix(key, leaseKeys)
	switch {
	case isChannel:
		e.channel = new(claimRecord)
		into = e.channel
	case isLease && roster.ValidNode(core.NodeID(lease)):
		e.lease = new(leaseRecord)
		into = e.lease
	default:
		return e, errRecord
	}
	err := json.Unmarshal(value, into)
	switch {
	case err != nil:
		err = fmt.Errorf("decoding a value of the bucket: %w", err)
	case isChannel && !e.channel.valid(), isLease && !roster.ValidNode(e.lease.Node):
		err = errRecord
	}
	if err != nil {
		e.channel, e.lease = nil, nil
	}
	return e, err
}

func (r *claimRecord) valid() bool {
	for i, s := range r.Services {
		if !utf8.ValidString(s) || i > 0 && r.Services[i-1] >= s {
			return false
		}
	}
	return roster.ValidNode(r.Node) && roster.ValidNode(core.NodeID(r.Lease))
}

// view is what the log says up to a position: who has which channel. A channel belongs to the
// node of its entry as long as the entry's lease is there.
//
// No two channels of different nodes lie in one another: a claim is written only if the log ends where
// its node's view does, so that nothing can be there that the node has not seen.
type view struct {
	pos     uint64
	entries map[string]*claims.Entry            // by channel
	leases  map[string]core.NodeID              // the nodes, by lease
	byLease map[string]map[string]*claims.Entry // the entries, by lease and channel
	// within counts the owned channels below a name.
	within map[string]int
}

func newView() *view {
	return &view{
		entries: make(map[string]*claims.Entry), leases: make(map[string]core.NodeID),
		byLease: make(map[string]map[string]*claims.Entry), within: make(map[string]int),
	}
}

// apply goes on by one event and returns what changes, in the order of the claims.
func (v *view) apply(e event) []claims.Change {
	v.pos = max(v.pos, e.rev)
	if channel, ok := channelOf(e.key); ok {
		return v.applyChannel(channel, e)
	}
	lease, ok := strings.CutPrefix(e.key, leaseKeys)
	if !ok {
		return nil
	}
	node, had := v.leases[lease]
	switch {
	case e.lease != nil && had && node == e.lease.Node:
		return nil // it was renewed
	case e.lease == nil && !had:
		return nil
	}
	var changes []claims.Change
	if had {
		changes = v.ended(lease)
	}
	if e.lease != nil {
		v.leases[lease] = e.lease.Node
		for _, c := range v.of(lease) {
			if v.owned(c) {
				v.count(c.Channel, 1)
				changes = append(changes, claims.Change{Entry: c, Owned: true})
			}
		}
	}
	return changes
}

// ended removes a lease.
func (v *view) ended(lease string) []claims.Change {
	var changes []claims.Change
	for _, c := range v.of(lease) {
		if v.owned(c) {
			v.count(c.Channel, -1)
			changes = append(changes, claims.Change{Entry: c, Owned: false})
		}
	}
	delete(v.leases, lease)
	return changes
}

func (v *view) applyChannel(channel string, e event) []claims.Change {
	var changes []claims.Change
	if before := v.entries[channel]; before != nil {
		if v.owned(before) {
			v.count(channel, -1)
			changes = append(changes, claims.Change{Entry: before, Owned: false})
		}
		delete(v.entries, channel)
		delete(v.byLease[before.Lease], channel)
		if len(v.byLease[before.Lease]) == 0 {
			delete(v.byLease, before.Lease)
		}
	}
	if e.channel == nil {
		return changes
	}
	r := e.channel
	c := &claims.Entry{Channel: channel, Node: r.Node, Lease: r.Lease, Claim: r.Claim, Rev: e.rev, Services: r.Services}
	v.entries[channel] = c
	if v.byLease[c.Lease] == nil {
		v.byLease[c.Lease] = make(map[string]*claims.Entry)
	}
	v.byLease[c.Lease][channel] = c
	if v.owned(c) {
		v.count(channel, 1)
		changes = append(changes, claims.Change{Entry: c, Owned: true})
	}
	return changes
}

// owned reports whether the channel of an entry belongs to its node.
func (v *view) owned(c *claims.Entry) bool {
	node, ok := v.leases[c.Lease]
	return ok && node == c.Node
}

// of returns the entries of a lease, in the order of the claims.
func (v *view) of(lease string) []*claims.Entry {
	var all []*claims.Entry
	for _, c := range v.byLease[lease] {
		all = append(all, c)
	}
	return claims.InOrder(all)
}

// ofNode returns the channels of a node, in the order of the claims.
func (v *view) ofNode(node core.NodeID) []*claims.Entry {
	var all []*claims.Entry
	for lease, n := range v.leases {
		if n != node {
			continue
		}
		for _, c := range v.byLease[lease] {
			if v.owned(c) {
				all = append(all, c)
			}
		}
	}
	return claims.InOrder(all)
}

// all returns the owned channels, in the order of the claims.
func (v *view) all() []*claims.Entry {
	var all []*claims.Entry
	for _, c := range v.entries {
		if v.owned(c) {
			all = append(all, c)
		}
	}
	return claims.InOrder(all)
}

// conflict returns the owned channel because of which by cannot own another one: the same, or
// another node's that it lies in or that lies in it. Which client of one node may own channels
// within each other that node's engine knows. It is nil if there is none.
func (v *view) conflict(channel string, by core.NodeID) *claims.Entry {
	if c := v.entries[channel]; c != nil && v.owned(c) {
		return c
	}
	for i := range len(channel) {
		if channel[i] == '/' {
			if c := v.entries[channel[:i]]; c != nil && v.owned(c) && c.Node != by {
				return c
			}
		}
	}
	if v.within[channel] == 0 {
		return nil
	}
	for name, c := range v.entries {
		if v.owned(c) && c.Node != by && len(name) > len(channel) && name[len(channel)] == '/' && name[:len(channel)] == channel {
			return c
		}
	}
	return nil
}

// count notes for all that channel lies in that it is owned now or no longer.
func (v *view) count(channel string, by int) {
	for i := range len(channel) {
		if channel[i] != '/' {
			continue
		}
		if v.within[channel[:i]] += by; v.within[channel[:i]] == 0 {
			delete(v.within, channel[:i])
		}
	}
}

// dead returns up to most entries whose lease is not there.
func (v *view) dead(most int) []*claims.Entry {
	var all []*claims.Entry
	for _, c := range v.entries {
		if len(all) == most {
			break
		}
		if !v.owned(c) {
			all = append(all, c)
		}
	}
	return all
}

// difference returns what has changed from one view to another one, in the order of the claims,
// the channels that are free now before the others. The bucket may have been made anew, so that
// positions alone do not tell entries from one another.
func difference(from, to *view) []claims.Change {
	return claims.Difference(from.all(), to.all(), func(a, b *claims.Entry) bool { return a.Rev == b.Rev && a.Same(b) })
}
