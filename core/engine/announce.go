package engine

import "github.com/polywire/polywire/core"

// changes are what begins or ends and was not announced yet: true begins. What ends before its
// beginning was announced is never announced, so there are no more changes than there are things,
// now and when they were announced last. Guarded by Engine.mu.
type changes[K comparable] map[K]bool

// note takes down that k begins, or ends, which it does in turns.
func (c changes[K]) note(k K, begins bool) {
	if _, unannounced := c[k]; unannounced {
		delete(c, k)
		return
	}
	c[k] = begins
}

// noteInterest takes down that somebody begins to hear an address, or that nobody does any more.
// The caller holds mu.
func (e *Engine) noteInterest(a *address, begins bool) {
	if e.backplane == nil || a.place != nil && a.place.trie == e.sys {
		return
	}
	i := core.Interest{Name: a.name}
	if a.place != nil {
		if a.place.matchesNothing() {
			return
		}
		i.Prefix, i.Pattern = a.place.trie.prefix, true
	}
	e.interest.note(i, begins)
	e.announceSoon()
}

// noteService takes down that connections here begin to share a service, or that none does any
// more. The caller holds mu.
func (e *Engine) noteService(name string, begins bool) {
	if e.backplane == nil {
		return
	}
	e.sharing.note(name, begins)
	e.announceSoon()
}

// announceSoon wakes announce.
func (e *Engine) announceSoon() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// announce tells the other nodes what is heard and offered here, until the engine is closed.
func (e *Engine) announce() {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.changed:
			e.Announce()
		}
	}
}

// Announce tells the backplane what is heard and offered here that it does not know yet. The
// engine does so itself, a moment after it changes. Any goroutine; not without a backplane.
func (e *Engine) Announce() {
	e.announcing.Lock()
	defer e.announcing.Unlock()
	e.mu.Lock()
	interest, sharing := e.interest, e.sharing
	e.interest, e.sharing = make(changes[core.Interest]), make(changes[string])
	e.mu.Unlock()
	if len(interest) > 0 {
		list := make([]core.Interest, 0, len(interest))
		for i, on := range interest {
			i.On = on
			list = append(list, i)
		}
		e.backplane.Hear(list)
	}
	if len(sharing) > 0 {
		list := make([]core.Service, 0, len(sharing))
		for name, on := range sharing {
			list = append(list, core.Service{Name: name, On: on})
		}
		e.backplane.Serve(list)
	}
}
