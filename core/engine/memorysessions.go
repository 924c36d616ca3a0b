package engine

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

// The bounds of MemorySessions.
const (
	maxSessions    = 100_000
	maxSessionInfo = 64 << 20 // bytes, of all sessions together
)

// MemorySessions is a core.SessionStore that forgets with the process. It holds at
// most 100,000 sessions with together 64 MiB of information. A session that would
// pass a bound puts out those which were not created or looked up for the longest
// time; information that is larger than the bound by itself is refused with
// Overloaded. Any goroutine; nothing blocks.
type MemorySessions struct {
	// Static after construction.
	now func() time.Time

	// Guarded by mu.
	mu      sync.Mutex
	byKey   map[string]*list.Element
	recent  list.List // of *core.Session, the last used in front
	info    int       // bytes
	evicted uint64
}

var _ core.SessionStore = (*MemorySessions)(nil)

// NewMemorySessions returns an empty store.
func NewMemorySessions() *MemorySessions {
	return &MemorySessions{now: time.Now, byKey: make(map[string]*list.Element)}
}

// Create keeps a new session.
func (m *MemorySessions) Create(_ context.Context, key string, info []byte) (core.Session, error) {
	if len(info) > maxSessionInfo {
		return core.Session{}, core.Failure{Code: core.Overloaded, Text: "the session has too much information"}
	}
	now := m.now()
	s := &core.Session{Key: key, Created: now, LastLookup: now, Info: bytes.Clone(info)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byKey[key] != nil {
		return core.Session{}, core.ErrSessionTaken
	}
	for m.recent.Len() >= maxSessions || m.info+len(info) > maxSessionInfo {
		m.remove(m.recent.Back())
		m.evicted++
	}
	m.byKey[s.Key] = m.recent.PushFront(s)
	m.info += len(info)
	return m.copy(s), nil
}

// Lookup finds a session, and sets its last look-up to now.
func (m *MemorySessions) Lookup(_ context.Context, key []byte) (core.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	el := m.byKey[string(key)]
	if el == nil {
		return core.Session{}, core.Failure{Code: core.SessionUnknown, Text: "there is no such session"}
	}
	m.recent.MoveToFront(el)
	s := el.Value.(*core.Session)
	found := m.copy(s)
	s.LastLookup = m.now()
	return found, nil
}

// Delete forgets a session; there may be none.
func (m *MemorySessions) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el := m.byKey[key]; el != nil {
		m.remove(el)
	}
	return nil
}

// Evicted returns how many sessions were put out to stay within the bounds.
func (m *MemorySessions) Evicted() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.evicted
}

// copy returns s with information of its own.
func (m *MemorySessions) copy(s *core.Session) core.Session {
	c := *s
	c.Info = bytes.Clone(s.Info)
	return c
}

// remove takes a session out. The caller holds mu.
func (m *MemorySessions) remove(el *list.Element) {
	s := m.recent.Remove(el).(*core.Session)
	delete(m.byKey, s.Key)
	m.info -= len(s.Info)
}
