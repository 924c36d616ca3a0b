package engine

import (
	"maps"
	"slices"
	"sync"
)

// attachments knows the connections here of each session. Sessions are told apart by
// their keys alone, so that endpoints may share a store. A place is taken before the
// store is asked, so that the bound cannot be passed and a session is not deleted
// under a connection that is about to join it. Any goroutine.
type attachments struct {
	// Guarded by mu.
	mu    sync.Mutex
	byKey map[string]*attached
}

// attached is a session that has connections, or is being deleted.
type attached struct {
	places map[*peer]struct{} // those who have the session, or are about to
	ending bool
}

func (t *attachments) init() { t.byKey = make(map[string]*attached) }

// join takes a place; limit 0 is no bound.
func (t *attachments) join(key string, p *peer, limit int) refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byKey[key]
	switch {
	case a == nil:
		a = &attached{places: make(map[*peer]struct{}, 1)}
		t.byKey[key] = a
	case a.ending:
		return refusedNoSession
	case limit > 0 && len(a.places) >= limit:
		return refusedSessionFull
	}
	a.places[p] = struct{}{}
	return refusal{}
}

// holds reports whether p has a place: whether nobody ended the session since it joined.
func (t *attachments) holds(key string, p *peer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.placed(key, p)
}

// placed is holds. The caller holds mu.
func (t *attachments) placed(key string, p *peer) bool {
	a := t.byKey[key]
	if a == nil {
		return false
	}
	_, found := a.places[p]
	return found
}

// leave gives the place of p back and reports whether it had one. The session goes on.
func (t *attachments) leave(key string, p *peer) (had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.placed(key, p) {
		return false
	}
	a := t.byKey[key]
	delete(a.places, p)
	if len(a.places) == 0 {
		delete(t.byKey, key)
	}
	return true
}

// close gives the place of p back. It reports whether it was the last: then nobody
// can join until ended is called.
func (t *attachments) close(key string, p *peer) (last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.placed(key, p) {
		return false
	}
	a := t.byKey[key]
	delete(a.places, p)
	a.ending = len(a.places) == 0
	return a.ending
}

// end takes all places away, if p has one of them, and returns whose they were. Then
// nobody can join until ended is called.
func (t *attachments) end(key string, p *peer) []*peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.placed(key, p) {
		return nil
	}
	return t.byKey[key].end()
}

// expel takes all places away, if there are any, and returns whose they were. Then
// nobody can join until ended is called. It reports false, and does nothing, if that is
// so already.
func (t *attachments) expel(key string) (all []*peer, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byKey[key]
	switch {
	case a == nil:
		a = new(attached)
		t.byKey[key] = a
	case a.ending:
		return nil, false
	}
	return a.end(), true
}

// end takes all places away. The caller holds mu of the table.
func (a *attached) end() []*peer {
	all := slices.Collect(maps.Keys(a.places))
	clear(a.places)
	a.ending = true
	return all
}

// of returns the connections that have a place.
func (t *attachments) of(key string) []*peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.byKey[key]; a != nil {
		return slices.Collect(maps.Keys(a.places))
	}
	return nil
}

// size returns how many sessions have connections, or are being deleted.
func (t *attachments) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}

// ended forgets a session whose last place is gone.
func (t *attachments) ended(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
}
