package network

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// awayPause is the time between two refusals, at an endpoint for a reason, that are shown to the observer: clients that
// are refused as fast as they can ask must not push out what others do.
const awayPause = time.Second

// awayWatch shows who is refused before the connection is open. The zero value has no observer. Any goroutine.
type awayWatch struct {
	// Atomic.
	observer atomic.Pointer[core.Observer]

	// Guarded by mu. It has an element for each endpoint and reason at most, since the observer was set.
	mu     sync.Mutex
	paused map[awayKey]*awayPaused
}

type awayKey struct {
	endpoint string
	reason   core.Reason
}

// awayPaused is since when nothing is shown, and how much was left out.
type awayPaused struct {
	since   time.Time
	leftOut uint64
}

// Observe shows o from now on the clients that are refused before they are connected; nil makes nobody see it. Any
// goroutine.
func (s *Server) Observe(o core.Observer) {
	w := &s.awayWatch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = nil // of endpoints that there are no longer, too
	if o == nil {
		w.observer.Store(nil)
		return
	}
	w.observer.Store(&o)
}

// observeAway shows a refusal, unless one for the same reason at the endpoint was shown just now. endpoint is empty if
// it is not known. The caller does not hold mu.
func (s *Server) observeAway(endpoint, client string, r refusal, now time.Time) {
	o := s.awayWatch.observer.Load()
	if o == nil || !(*o).Wants(core.MomentTurnedAway) {
		return
	}
	leftOut, show := s.awayWatch.take(awayKey{endpoint, r.reason}, now)
	if !show {
		return
	}
	x := &core.Observation{Moment: core.MomentTurnedAway, At: now, Remote: client, Reason: r.reason, Text: r.why, LeftOut: leftOut}
	s.mu.Lock()
	if ep := s.eps[endpoint]; ep != nil {
		x.Endpoint = ep.Endpoint.Endpoint
	}
	s.mu.Unlock()
	(*o).Observe(x)
}

// take reports whether a refusal is shown, and how many were left out since the last one.
func (w *awayWatch) take(key awayKey, now time.Time) (leftOut uint64, show bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.paused[key]
	switch {
	case p == nil:
		if w.paused == nil {
			w.paused = make(map[awayKey]*awayPaused)
		}
		p = new(awayPaused)
		w.paused[key] = p
	case now.Sub(p.since) < awayPause:
		p.leftOut++
		return 0, false
	}
	leftOut = p.leftOut
	p.since, p.leftOut = now, 0
	return leftOut, true
}
