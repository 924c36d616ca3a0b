package redis

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

var errEntry = errors.New("the register of channels has something that makes no sense")

// entry is a channel that a node has. It is not changed.
type entry struct {
	channel  string
	lease    string
	node     core.NodeID
	rev      uint64
	claim    uint64 // a number that the node has given this claim
	services []string
}

// same reports whether two entries are one claim, perhaps registered twice.
func (e *entry) same(other *entry) bool {
	return e.channel == other.channel && e.lease == other.lease && e.node == other.node && e.claim == other.claim
}

func (e *entry) encodeServices() string {
	text, err := json.Marshal(e.services)
	if err != nil {
		panic(fmt.Sprintf("encoding services: %v", err)) // they have nothing that JSON cannot say
	}
	return string(text)
}

// valid checks an entry and reads its services, all of which anybody may have written.
func (e *entry) valid(services string) bool {
	if !utf8.ValidString(e.channel) || !roster.ValidNode(e.node) || !roster.ValidNode(core.NodeID(e.lease)) {
		return false
	}
	if err := json.Unmarshal([]byte(services), &e.services); err != nil {
		return false
	}
	for i, s := range e.services {
		if i > 0 && e.services[i-1] >= s {
			return false
		}
	}
	return true
}

// decodeEntry reads a channel and its value in the hash of owners.
func decodeEntry(channel, value string) (*entry, error) {
	parts := strings.SplitN(value, "\n", 5)
	if len(parts) != 5 {
		return nil, errEntry
	}
	rev, err1 := strconv.ParseUint(parts[2], 10, 64)
	claim, err2 := strconv.ParseUint(parts[3], 10, 64)
	e := &entry{channel: channel, lease: parts[0], node: core.NodeID(parts[1]), rev: rev, claim: claim}
	if err1 != nil || err2 != nil || !e.valid(parts[4]) {
		return nil, errEntry
	}
	return e, nil
}

// event is a change that the script has published.
type event struct {
	rev   uint64
	kind  string // claim, free, end
	entry *entry // of an end it has only the lease and the node
}

const (
	eventClaim = "claim"
	eventFree  = "free"
	eventEnd   = "end"
)

// decodeEvent reads an event that anybody may have published.
func decodeEvent(data []byte) (ev event, err error) {
	parts := bytes.SplitN(data, []byte("\n"), 6)
	if len(parts) != 6 {
		return ev, errEntry
	}
	rev, err1 := strconv.ParseUint(string(parts[0]), 10, 64)
	n, err2 := strconv.ParseUint(string(parts[4]), 10, 31)
	if err1 != nil || err2 != nil || n > uint64(len(parts[5])) {
		return ev, errEntry
	}
	rest := string(parts[5][n:])
	e := &entry{channel: string(parts[5][:n]), lease: string(parts[2]), node: core.NodeID(parts[3]), rev: rev}
	ev = event{rev: rev, kind: string(parts[1]), entry: e}
	services := "null"
	switch ev.kind {
	case eventClaim:
		claim, list, ok := strings.Cut(rest, "\n")
		if !ok {
			return ev, errEntry
		}
		services = list
		if e.claim, err = strconv.ParseUint(claim, 10, 64); err != nil {
			return ev, errEntry
		}
	case eventFree, eventEnd:
	default:
		return ev, errEntry
	}
	if !e.valid(services) {
		return ev, errEntry
	}
	return ev, nil
}

// change says that a channel begins or ceases to belong to somebody.
type change struct {
	*entry
	owned bool
}

// view is who has which channel at a revision.
type view struct {
	rev     uint64
	entries map[string]*entry            // by channel
	byLease map[string]map[string]*entry // by lease and channel
}

func newView() *view {
	return &view{entries: make(map[string]*entry), byLease: make(map[string]map[string]*entry)}
}

func (v *view) set(e *entry) {
	v.entries[e.channel] = e
	if v.byLease[e.lease] == nil {
		v.byLease[e.lease] = make(map[string]*entry)
	}
	v.byLease[e.lease][e.channel] = e
}

func (v *view) remove(e *entry) {
	delete(v.entries, e.channel)
	delete(v.byLease[e.lease], e.channel)
	if len(v.byLease[e.lease]) == 0 {
		delete(v.byLease, e.lease)
	}
}

// apply goes on by the next event and returns what changes, in the order of the claims.
func (v *view) apply(ev event) (changes []change) {
	v.rev = ev.rev
	e := ev.entry
	switch ev.kind {
	case eventClaim:
		if before := v.entries[e.channel]; before != nil {
			v.remove(before)
			changes = append(changes, change{before, false})
		}
		v.set(e)
		return append(changes, change{e, true})
	case eventFree:
		if before := v.entries[e.channel]; before != nil && before.lease == e.lease {
			v.remove(before)
			changes = append(changes, change{before, false})
		}
		return changes
	}
	for _, before := range inOrder(v.byLease[e.lease]) {
		v.remove(before)
		changes = append(changes, change{before, false})
	}
	return changes
}

// inOrder returns entries in the order of the claims.
func inOrder(entries map[string]*entry) []*entry {
	all := make([]*entry, 0, len(entries))
	for _, e := range entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.rev, b.rev), cmp.Compare(a.channel, b.channel)) })
	return all
}

// ofNode returns the channels of a node, in the order of the claims.
func (v *view) ofNode(node core.NodeID) []*entry {
	all := make(map[string]*entry)
	for channel, e := range v.entries {
		if e.node == node {
			all[channel] = e
		}
	}
	return inOrder(all)
}

// difference returns what has changed from one view to another one, in the order of the claims,
// the channels that are free now before the others.
func difference(from, to *view) (changes []change) {
	for _, e := range inOrder(from.entries) {
		if now := to.entries[e.channel]; now == nil || !now.same(e) {
			changes = append(changes, change{e, false})
		}
	}
	for _, e := range inOrder(to.entries) {
		if before := from.entries[e.channel]; before == nil || !before.same(e) {
			changes = append(changes, change{e, true})
		}
	}
	return changes
}
