package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

// generate is the session key generator.
func generate() (string, error) { return "chat-" + rand.Text() + rand.Text(), nil }

// sessions is the session manager: a [core.SessionStore] that knows the owner of each
// session. A real one would keep them in a database.
type sessions struct {
	// Guarded by mu.
	mu    sync.Mutex
	byKey map[string]core.Session
}

var _ core.SessionStore = (*sessions)(nil)

func newSessions() *sessions { return &sessions{byKey: make(map[string]core.Session)} }

// Create keeps a new session.
func (s *sessions) Create(_ context.Context, key string, info []byte) (core.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.byKey[key]; taken {
		return core.Session{}, core.ErrSessionTaken
	}
	now := time.Now()
	s.byKey[key] = core.Session{Key: key, Created: now, LastLookup: now, Info: bytes.Clone(info)}
	return s.byKey[key], nil
}

// Lookup finds a session, and records the time.
func (s *sessions) Lookup(_ context.Context, key []byte) (core.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, known := s.byKey[string(key)]
	if !known {
		return core.Session{}, core.Failure{Code: core.SessionUnknown}
	}
	seen := found
	seen.LastLookup = time.Now()
	s.byKey[found.Key] = seen
	return found, nil
}

// Delete forgets a session.
func (s *sessions) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, key)
	return nil
}

// user returns the owner of a session.
func (s *sessions) user(key string) string {
	s.mu.Lock()
	info := s.byKey[key].Info
	s.mu.Unlock()
	var who struct{ Username string }
	if json.Unmarshal(info, &who) != nil {
		return "Anonymous"
	}
	return who.Username
}
