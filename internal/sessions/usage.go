package sessions

import (
	"container/list"
	"sync"
	"time"
)

// usage knows which sessions there are, and when each was used last. Any goroutine.
type usage struct {
	// Guarded by mu.
	mu     sync.Mutex
	byKey  map[string]*list.Element
	recent list.List // of used, the most recently used in front
}

// used is a session and when it was created or looked up last.
type used struct {
	key string
	at  time.Time
}

func newUsage() *usage { return &usage{byKey: make(map[string]*list.Element)} }

// use records that a session was used now.
func (u *usage) use(key string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if el := u.byKey[key]; el != nil {
		u.recent.Remove(el)
	}
	u.byKey[key] = u.recent.PushFront(used{key, now})
}

// forget records that a session is gone.
func (u *usage) forget(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.remove(u.byKey[key])
}

// knows reports whether a session exists.
func (u *usage) knows(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byKey[key] != nil
}

// surplus removes the session that was not used for the longest time, if there are more
// than most (0 is no bound) or it was last used before since (zero is no bound).
func (u *usage) surplus(most int, since time.Time) (key string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	el := u.recent.Back()
	if el == nil || (most == 0 || u.recent.Len() <= most) && !el.Value.(used).at.Before(since) {
		return "", false
	}
	u.remove(el)
	return el.Value.(used).key, true
}

// remove removes a session; nil is none. The caller holds mu.
func (u *usage) remove(el *list.Element) {
	if el != nil {
		delete(u.byKey, u.recent.Remove(el).(used).key)
	}
}
