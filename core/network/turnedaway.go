package network

import (
	"container/list"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxTurnedAway is how many of these are remembered.
	maxTurnedAway = 1000
	// maxDetails bounds what is remembered of what a client sent, in bytes.
	maxDetails = 512
)

// turnedAway are the clients that were refused last, before they were connected. The zero value is empty. Any
// goroutine.
type turnedAway struct {
	// Guarded by mu.
	mu   sync.Mutex
	of   map[away]*list.Element
	last list.List // of *core.TurnedAway; the last one first
}

// away is what is counted together.
type away struct {
	host             core.Host
	endpoint, listen string
	reason           core.Reason
}

// add remembers a refusal. A client that is refused as often as it can ask takes one place.
func (t *turnedAway) add(endpoint, listen, remote string, r refusal, newest uint64, now time.Time) {
	at, _ := netip.ParseAddrPort(remote)
	key := away{core.HostOf(at.Addr()), endpoint, listen, r.reason}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.of[key]
	if e == nil {
		if t.of == nil {
			t.of = make(map[away]*list.Element)
		}
		if t.last.Len() >= maxTurnedAway {
			oldest := t.last.Back()
			t.last.Remove(oldest)
			delete(t.of, keyOfAway(oldest.Value.(*core.TurnedAway)))
		}
		e = t.last.PushFront(&core.TurnedAway{Endpoint: endpoint, Listen: listen, Reason: r.reason, First: now})
		t.of[key] = e
	}
	t.last.MoveToFront(e)
	one := e.Value.(*core.TurnedAway)
	one.Remote, one.Why, one.Details, one.Last, one.After = remote, r.why, details(r), now, newest
	one.Count++
}

func keyOfAway(one *core.TurnedAway) away {
	at, _ := netip.ParseAddrPort(one.Remote)
	return away{core.HostOf(at.Addr()), one.Endpoint, one.Listen, one.Reason}
}

// details returns what the client sent, and what would have been right.
func details(r refusal) string {
	var text strings.Builder
	for i, one := range r.values {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(one.String())
	}
	return strings.ToValidUTF8(text.String()[:min(text.Len(), maxDetails)], "")
}

// TurnedAway returns the clients that were refused last before they were connected, the last one first: up to
// 1000, of which each stands for all refusals of an address, at an endpoint, for a reason. The slice is the
// caller's. Any goroutine.
func (s *Server) TurnedAway() []core.TurnedAway {
	t := &s.away
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]core.TurnedAway, 0, t.last.Len())
	for e := t.last.Front(); e != nil; e = e.Next() {
		all = append(all, *e.Value.(*core.TurnedAway))
	}
	return all
}
