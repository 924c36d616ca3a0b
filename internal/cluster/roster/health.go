package roster

import (
	"errors"
	"sync"
)

// ErrNoChannels is what a node's health is, with the reason, if all is well but the owning of
// channels.
var ErrNoChannels = errors.New("channels cannot be owned")

// About is what can be wrong with a node's place in the cluster.
type About int

// Of what is wrong the first one is told.
const (
	AboutName About = iota
	AboutEngine
	AboutPermissions
	AboutChannels
	aboutEnd
)

// Health is what is wrong. The zero value is nothing. Any goroutine.
type Health struct {
	mu   sync.Mutex
	errs [aboutEnd]error
}

// Set says what is wrong about something; nil is nothing.
func (h *Health) Set(what About, err error) {
	h.mu.Lock()
	h.errs[what] = err
	h.mu.Unlock()
}

// Err returns what is wrong; nil if nothing is.
func (h *Health) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.errs {
		if err != nil {
			return err
		}
	}
	return nil
}
