package engine

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// registry has the Go handlers and their interceptors. Handlers are registered rarely and
// looked up with every call: so each registration makes a new table, which is read without
// a lock.
type registry struct {
	// Guarded by mu.
	mu           sync.Mutex
	handlers     []registered // of Handle
	listeners    []registered // of Hear
	first, last  []registered // of Configure
	otherwise    registered
	interceptors []core.Interceptor

	// Atomic.
	table atomic.Pointer[handlerTable]
}

// registered is a handler as it was registered, and with the interceptors around it.
type registered struct {
	match         string
	bare, handler core.Handler
	places        *places // for the calls that it answers
}

// handlerTable has the handlers, for looking up. Static after construction.
type handlerTable struct {
	first, last handlerSet
	listeners   handlerSet
	otherwise   *registered // or nil
}

type handlerSet struct {
	exact    map[string]*registered
	patterns []*registered // in the order of their registration
}

// set changes one handler of a list, which is handlers or listeners of r; nil ends it. It
// answers atOnce calls at once.
func (r *registry) set(list *[]registered, match string, h core.Handler, atOnce int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.publish()
	i := slices.IndexFunc(*list, func(e registered) bool { return e.match == match })
	entry := registered{match: match, bare: h, places: newPlaces(atOnce)}
	r.surround(&entry)
	switch {
	case h == nil && i >= 0:
		*list = slices.Delete(*list, i, i+1)
	case h == nil:
	case i >= 0:
		(*list)[i] = entry
	default:
		*list = append(*list, entry)
	}
}

// configure puts other services in the place of first and last. Who answers as many calls
// at once under the same match as before keeps its places, with the calls that run.
func (r *registry) configure(services []Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.publish()
	old := slices.Concat(r.first, r.last)
	r.first, r.last = nil, nil
	for _, s := range services {
		entry := registered{match: s.Match, bare: s.Handler}
		atOnce := cmp.Or(s.AtOnce, maxRunning)
		i := slices.IndexFunc(old, func(e registered) bool { return e.match == s.Match && e.places.size == atOnce })
		if i >= 0 {
			entry.places = old[i].places
		} else {
			entry.places = newPlaces(atOnce)
		}
		r.surround(&entry)
		if s.First {
			r.first = append(r.first, entry)
		} else {
			r.last = append(r.last, entry)
		}
	}
}

// setOtherwise changes the handler of last resort; nil ends it.
func (r *registry) setOtherwise(h core.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.publish()
	r.otherwise = registered{bare: h, places: newPlaces(maxRunning)}
	r.surround(&r.otherwise)
}

// use adds an interceptor around all handlers, inside those that are there.
func (r *registry) use(i core.Interceptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.publish()
	r.interceptors = append(r.interceptors, i)
	for _, list := range [][]registered{r.handlers, r.listeners, r.first, r.last} {
		for i := range list {
			r.surround(&list[i])
		}
	}
	r.surround(&r.otherwise)
}

// surround puts the interceptors around a handler. The caller holds mu.
func (r *registry) surround(e *registered) {
	e.handler = e.bare
	if e.bare == nil {
		return
	}
	for _, i := range slices.Backward(r.interceptors) {
		e.handler = i(e.handler)
	}
}

// publish makes what is registered known. The caller holds mu.
func (r *registry) publish() {
	// What the program registers goes before what is configured under the same match.
	first := slices.DeleteFunc(slices.Clone(r.first), func(e registered) bool {
		return slices.ContainsFunc(r.handlers, func(h registered) bool { return h.match == e.match })
	})
	table := &handlerTable{
		first: newHandlerSet(append(first, r.handlers...)), last: newHandlerSet(r.last), listeners: newHandlerSet(r.listeners),
	}
	if otherwise := r.otherwise; otherwise.handler != nil {
		table.otherwise = &otherwise
	}
	r.table.Store(table)
}

func newHandlerSet(list []registered) handlerSet {
	s := handlerSet{exact: make(map[string]*registered)}
	for _, e := range list {
		if core.HasWildcard(e.match) {
			s.patterns = append(s.patterns, &e)
		} else {
			s.exact[e.match] = &e
		}
	}
	return s
}

// find returns the handler of a service, or nil: that of the very name, else that of
// the first pattern which matches.
func (s *handlerSet) find(service []byte) *registered {
	if h := s.exact[string(service)]; h != nil || len(s.patterns) == 0 {
		return h
	}
	for _, e := range s.patterns {
		if core.MatchPattern(e.match, service) {
			return e
		}
	}
	return nil
}
