package sessions

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

// The bounds of Memory.
const (
	maxSessions    = 100_000
	maxSessionInfo = 64 << 20 // bytes, of all sessions together
)

// Memory is a core.SessionStore that ends with the process. It holds at most 100,000
// sessions with together 64 MiB of information, unless SetLimits says less. A session that
// would exceed a bound evicts those that were not created or looked up for the longest
// time. Information that is larger than the bound by itself is refused with Overloaded. Any
// goroutine; nothing blocks.
type Memory struct {
	// Static after construction.
	now func() time.Time

	// Guarded by mu.
	mu      sync.Mutex
	byKey   map[string]*list.Element
	limits  core.SessionLimits
	recent  list.List // of *remembered, the most recently used in front
	info    int       // bytes
	evicted uint64
}

// remembered is a session and when it was created or looked up last.
type remembered struct {
	core.Session
	used time.Time
}

var _ core.SessionStore = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{now: time.Now, byKey: make(map[string]*list.Element)}
}

// Create keeps a new session.
func (m *Memory) Create(_ context.Context, key string, info []byte) (core.Session, error) {
	if len(info) > maxSessionInfo {
		return core.Session{}, core.Failure{Code: core.Overloaded, Text: "the session has too much information"}
	}
	now := m.now()
	s := &remembered{core.Session{Key: key, Created: now, LastLookup: now, Info: bytes.Clone(info)}, now}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy(now)
	if m.byKey[key] != nil {
		return core.Session{}, core.ErrSessionTaken
	}
	for m.recent.Len() >= m.most() || m.info+len(info) > maxSessionInfo {
		m.evict()
	}
	m.byKey[s.Key] = m.recent.PushFront(s)
	m.info += len(info)
	return m.copy(s), nil
}

// Lookup finds a session, and sets its last look-up to now.
func (m *Memory) Lookup(_ context.Context, key []byte) (core.Session, error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy(now)
	el := m.byKey[string(key)]
	if el == nil {
		return core.Session{}, errUnknown
	}
	m.recent.MoveToFront(el)
	s := el.Value.(*remembered)
	found := m.copy(s)
	s.LastLookup, s.used = now, now
	return found, nil
}

// Delete removes a session; there may be none.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el := m.byKey[key]; el != nil {
		m.remove(el)
	}
	return nil
}

// SetLimits sets the limits; the bounds of Memory apply where they are lower.
func (m *Memory) SetLimits(l core.SessionLimits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limits = l
	m.tidy(m.now())
	for m.recent.Len() > m.most() {
		m.evict()
	}
}

// most returns how many sessions there may be. The caller holds mu.
func (m *Memory) most() int {
	if m.limits.Max > 0 {
		return min(m.limits.Max, maxSessions)
	}
	return maxSessions
}

// tidy evicts the sessions that were not used for too long. The caller holds mu.
func (m *Memory) tidy(now time.Time) {
	since := m.limits.Since(now)
	for el := m.recent.Back(); el != nil && el.Value.(*remembered).used.Before(since); el = m.recent.Back() {
		m.evict()
	}
}

// evict removes the session that was not used for the longest time. The caller holds mu.
func (m *Memory) evict() {
	m.remove(m.recent.Back())
	m.evicted++
}

// Evicted returns how many sessions were evicted to stay within the bounds.
func (m *Memory) Evicted() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.evicted
}

// Len returns how many sessions there are. Any goroutine.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.byKey)
}

// copy returns s with information of its own.
func (m *Memory) copy(s *remembered) core.Session {
	c := s.Session
	c.Info = bytes.Clone(s.Info)
	return c
}

// remove removes a session. The caller holds mu.
func (m *Memory) remove(el *list.Element) {
	s := m.recent.Remove(el).(*remembered)
	delete(m.byKey, s.Key)
	m.info -= len(s.Info)
}
