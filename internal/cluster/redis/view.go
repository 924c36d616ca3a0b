package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

var errEntry = errors.New("the register of channels has something that makes no sense")

func encodeServices(services []string) string {
	text, err := json.Marshal(services)
	if err != nil {
		panic(fmt.Sprintf("encoding services: %v", err)) // they have nothing that JSON cannot say
	}
	return string(text)
}

// decodeServices checks an entry and reads its services, all of which anybody may have written.
func decodeServices(e *claims.Entry, services string) bool {
	if !utf8.ValidString(e.Channel) || !roster.ValidNode(e.Node) || !roster.ValidNode(core.NodeID(e.Lease)) {
		return false
	}
	if err := json.Unmarshal([]byte(services), &e.Services); err != nil {
		return false
	}
	for i, s := range e.Services {
		if i > 0 && e.Services[i-1] >= s {
			return false
		}
	}
	return true
}

// decodeEntry reads a channel and its value in the hash of owners.
func decodeEntry(channel, value string) (*claims.Entry, error) {
	parts := strings.SplitN(value, "\n", 5)
	if len(parts) != 5 {
		return nil, errEntry
	}
	rev, err1 := strconv.ParseUint(parts[2], 10, 64)
	claim, err2 := strconv.ParseUint(parts[3], 10, 64)
	e := &claims.Entry{Channel: channel, Lease: parts[0], Node: core.NodeID(parts[1]), Rev: rev, Claim: claim}
	if err1 != nil || err2 != nil || !decodeServices(e, parts[4]) {
		return nil, errEntry
	}
	return e, nil
}

// event is a change that the script has published.
type event struct {
	rev   uint64
	kind  string        // claim, free, end
	entry *claims.Entry // of an end it has only the lease and the node
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
	e := &claims.Entry{Channel: string(parts[5][:n]), Lease: string(parts[2]), Node: core.NodeID(parts[3]), Rev: rev}
	ev = event{rev: rev, kind: string(parts[1]), entry: e}
	services := "null"
	switch ev.kind {
	case eventClaim:
		claim, list, ok := strings.Cut(rest, "\n")
		if !ok {
			return ev, errEntry
		}
		services = list
		if e.Claim, err = strconv.ParseUint(claim, 10, 64); err != nil {
			return ev, errEntry
		}
	case eventFree, eventEnd:
	default:
		return ev, errEntry
	}
	if !decodeServices(e, services) {
		return ev, errEntry
	}
	return ev, nil
}

// view is who has which channel at a revision.
type view struct {
	rev     uint64
	entries map[string]*claims.Entry            // by channel
	byLease map[string]map[string]*claims.Entry // by lease and channel
}

func newView() *view {
	return &view{entries: make(map[string]*claims.Entry), byLease: make(map[string]map[string]*claims.Entry)}
}

func (v *view) set(e *claims.Entry) {
	v.entries[e.Channel] = e
	if v.byLease[e.Lease] == nil {
		v.byLease[e.Lease] = make(map[string]*claims.Entry)
	}
	v.byLease[e.Lease][e.Channel] = e
}

func (v *view) remove(e *claims.Entry) {
	delete(v.entries, e.Channel)
	delete(v.byLease[e.Lease], e.Channel)
	if len(v.byLease[e.Lease]) == 0 {
		delete(v.byLease, e.Lease)
	}
}

// apply goes on by the next event and returns what changes, in the order of the claims.
func (v *view) apply(ev event) (changes []claims.Change) {
	v.rev = ev.rev
	e := ev.entry
	switch ev.kind {
	case eventClaim:
		if before := v.entries[e.Channel]; before != nil {
			v.remove(before)
			changes = append(changes, claims.Change{Entry: before, Owned: false})
		}
		v.set(e)
		return append(changes, claims.Change{Entry: e, Owned: true})
	case eventFree:
		if before := v.entries[e.Channel]; before != nil && before.Lease == e.Lease {
			v.remove(before)
			changes = append(changes, claims.Change{Entry: before, Owned: false})
		}
		return changes
	}
	for _, before := range inOrder(v.byLease[e.Lease]) {
		v.remove(before)
		changes = append(changes, claims.Change{Entry: before, Owned: false})
	}
	return changes
}

// inOrder returns entries in the order of the claims.
func inOrder(entries map[string]*claims.Entry) []*claims.Entry {
	return claims.InOrder(slices.Collect(maps.Values(entries)))
}

// ofNode returns the channels of a node, in the order of the claims.
func (v *view) ofNode(node core.NodeID) []*claims.Entry {
	var all []*claims.Entry
	for _, e := range v.entries {
		if e.Node == node {
			all = append(all, e)
		}
	}
	return claims.InOrder(all)
}

// difference returns what has changed from one view to another one, in the order of the claims,
// the channels that are free now before the others.
func difference(from, to *view) []claims.Change {
	return claims.Difference(inOrder(from.entries), inOrder(to.entries), (*claims.Entry).Same)
}
