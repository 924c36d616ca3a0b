package network

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// Limits bound what all doors of a server together let in. They are immutable;
// Server.SetLimits replaces them.
type Limits struct {
	// MaxConnections bounds the open WebSocket connections; more are answered 503.
	// 0 is no bound.
	MaxConnections int
	// MaxHandshakes bounds the connections that are not upgraded yet, and, as a separate
	// count, the plain HTTP connections; more are answered 503. 0 is 4096.
	MaxHandshakes int
	// MaxHTTPPerAddress bounds the plain HTTP connections that one address has at one
	// listener; more are answered 429. Trusted proxies have no such bound. 0 is a quarter
	// of MaxHandshakes.
	MaxHTTPPerAddress int
	// MaxHandshakesPerAddress bounds the pending handshakes of one address; more
	// are answered 429. Trusted proxies have no such bound. 0 is no bound.
	MaxHandshakesPerAddress int
	// HandshakeRate bounds how fast connections are accepted; more are answered 503.
	HandshakeRate core.Rate
	// MemoryWatermark is how many bytes the process may use before new connections
	// are answered 503; 0 is no bound.
	MemoryWatermark uint64
	// TrustedProxies are the proxies whose word counts for the client's address
	// (X-Forwarded-For, Forwarded, X-Real-IP or the PROXY protocol) and for the requested
	// host (X-Forwarded-Host or Forwarded). The default is nobody.
	TrustedProxies []netip.Prefix
	// TrustUnix trusts every client of a Unix socket in the same way.
	TrustUnix bool
}

// admission decides which connections are let in, for all doors of a server.
type admission struct {
	memory memoryGauge

	// Atomic.
	limits atomic.Pointer[Limits]

	handshakes places               // connections that are not upgraded yet
	callers    headcount[core.Host] // the handshakes of each address

	// Guarded by mu.
	mu   sync.Mutex
	pace bucket
}

func (a *admission) init(l Limits) {
	a.pace = newBucket()
	a.set(l)
}

// set puts limits in force.
func (a *admission) set(l Limits) {
	if l.MaxHandshakes <= 0 {
		l.MaxHandshakes = 4096
	}
	if l.MaxHTTPPerAddress <= 0 {
		l.MaxHTTPPerAddress = max(1, l.MaxHandshakes/4)
	}
	a.limits.Store(&l)
}

// admit is called for every accepted connection, before anything is read from it. If
// the connection is let in, endHandshake ends its handshake; if not, r says why.
func (a *admission) admit(v *visitor, now time.Duration) (r core.Reason, ok bool) {
	l := a.limits.Load()
	switch {
	case l.MemoryWatermark > 0 && a.memory.used.Load() > l.MemoryWatermark:
		return core.ReasonMemory, false
	case !a.inTime(l.HandshakeRate, now):
		return core.ReasonRate, false
	case !a.beginHandshake(v):
		a.notInTime(l.HandshakeRate, now)
		return core.ReasonOverload, false
	}
	a.handshakes.set(&v.handshake, unheard)
	return 0, true
}

// beginHandshake counts one more handshake, if one more is allowed; endHandshake ends it. It may
// evict a handshake whose request is not complete; that client's connection is closed.
func (a *admission) beginHandshake(v *visitor) bool {
	evicted, _, ok := a.handshakes.take(&v.handshake, v, 0, a.limits.Load())
	if evicted != nil {
		_ = evicted.visitor.tcp.Close() // its reader then rejects it
	}
	return ok
}

func (a *admission) endHandshake(v *visitor) { a.handshakes.leave(&v.handshake) }

// heard notes that the request of v is complete. It reports false if v was evicted.
func (a *admission) heard(v *visitor) bool { return a.handshakes.set(&v.handshake, working) }

// enterAddress counts one more handshake of an address, if one more is allowed; leaveAddress ends
// it. Trusted proxies have no limit.
func (a *admission) enterAddress(from netip.Addr) bool {
	l := a.limits.Load()
	most := l.MaxHandshakesPerAddress
	if !from.IsValid() || l.trusts(from) {
		most = 0
	}
	return a.callers.add(core.HostOf(from), most)
}

func (a *admission) leaveAddress(from netip.Addr) { a.callers.remove(core.HostOf(from)) }

// inTime takes one connection from the rate, if there is one left.
func (a *admission) inTime(r core.Rate, now time.Duration) bool {
	if r.Amount == 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pace.wait(r, now) > 0 {
		return false
	}
	a.pace.take(r, now, 1)
	return true
}

// notInTime returns what inTime has taken.
func (a *admission) notInTime(r core.Rate, now time.Duration) {
	if r.Amount == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pace.take(r, now, -1)
}

// enter counts a connection that is about to be upgraded, if one more is allowed for its
// address, in the process, and at the endpoint. leave ends it.
func (ep *endpoint) enter(from netip.Addr) (r core.Reason, ok bool) {
	s, l := ep.server, ep.Limits.Get()
	if s.draining.Load() {
		return core.ReasonDrain, false
	}
	// The address comes first: a client over its limit must not, even for a moment, take a
	// place from others.
	perAddress := l.ConnectionsPerAddress
	if !from.IsValid() {
		perAddress = 0 // by a Unix socket: nobody told an address
	}
	if !ep.hosts.add(core.HostOf(from), perAddress) {
		return core.ReasonLimit, false
	}
	if !upTo(&s.open, s.admission.limits.Load().MaxConnections) {
		ep.hosts.remove(core.HostOf(from))
		return core.ReasonOverload, false
	}
	if !upTo(&ep.open, l.Connections) {
		s.open.Add(-1)
		ep.hosts.remove(core.HostOf(from))
		return core.ReasonOverload, false
	}
	// Checked last: a waiter for the last connection of a closed endpoint sees this one.
	if ep.closed.Load() {
		ep.leave(from, nil, false)
		return core.ReasonDrain, false
	}
	return 0, true
}

// enterAs counts an entered connection for its user, if one more is allowed: here, and at all nodes
// if the limit is one of the cluster. If the cluster cannot be asked the limit holds here alone.
// counted says that it is counted in the cluster. It may block for some seconds.
func (ep *endpoint) enterAs(user *core.Identity) (counted, ok bool) {
	name, l, places := user.User(), ep.Limits.Get(), ep.server.options.Places
	if name == "" {
		return false, true
	}
	if !ep.users.add(name, l.ConnectionsPerUser) {
		return false, false
	}
	if l.ConnectionsPerUser == 0 || !l.UsersOfCluster || places == nil {
		return false, true
	}
	err := places.Join(context.Background(), ep.placeOf(name), l.ConnectionsPerUser)
	if errors.Is(err, core.ErrNoPlace) {
		ep.users.remove(name)
		return false, false
	}
	if err != nil {
		places.Take(ep.placeOf(name))
	}
	return true, true
}

// placeOf returns what a user's places of the endpoint are called in the cluster.
func (ep *endpoint) placeOf(user string) string { return ep.Name + "\x00" + user }

// leave undoes enter, and enterAs if user was counted.
func (ep *endpoint) leave(from netip.Addr, user *core.Identity, inCluster bool) {
	if name := user.User(); name != "" {
		ep.users.remove(name)
		if inCluster {
			ep.server.options.Places.Leave(ep.placeOf(name))
		}
	}
	ep.open.Add(-1)
	ep.server.open.Add(-1)
	ep.hosts.remove(core.HostOf(from))
}

// address returns the address with which the client entered.
func (c *conn) address() netip.Addr {
	// netip wrote the text, so it can parse it.
	a, _ := netip.ParseAddrPort(c.remote)
	return a.Addr()
}

// statusOf returns the HTTP status for a client that is not let in.
func statusOf(r core.Reason) int {
	if r == core.ReasonLimit {
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}

// whyNot says, in text for people, why a client is turned away.
func whyNot(r core.Reason) string {
	switch r {
	case core.ReasonDrain:
		return "shutting down"
	case core.ReasonMemory:
		return "short of memory"
	case core.ReasonRate:
		return "too many connections at once"
	case core.ReasonLimit:
		return "too many connections of yours"
	}
	return "too many connections"
}

// upTo adds one to n unless it is limit; limit 0 is none.
func upTo(n *atomic.Int64, limit int) bool {
	if n.Add(1) > int64(limit) && limit > 0 {
		n.Add(-1)
		return false
	}
	return true
}

// headcount counts connections by a common key. Any goroutine.
type headcount[K comparable] struct {
	// Guarded by mu.
	mu sync.Mutex
	n  map[K]int
}

// add counts one more of k unless there are limit already; limit 0 is none.
func (h *headcount[K]) add(k K, limit int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if limit > 0 && h.n[k] >= limit {
		return false
	}
	if h.n == nil {
		h.n = make(map[K]int)
	}
	h.n[k]++
	return true
}

// remove counts one less of k.
func (h *headcount[K]) remove(k K) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n[k]--; h.n[k] == 0 {
		delete(h.n, k)
	}
}
