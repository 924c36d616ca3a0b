package bridge

import (
	"encoding/json"
	"hash/maphash"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// echoWindow is how long the old server may take to say again what the bridge has said.
	echoWindow = 30 * time.Second
	// maxEchoes bounds what is remembered; beyond it the oldest is forgotten.
	maxEchoes = 100_000
)

// echoes are what the bridge has said to the old server, and may hear from there as any subscriber does.
// Any goroutine.
type echoes struct {
	on    func(topic string) bool // static: whether the bridge hears what it says on a topic
	named bool                    // static: whether the old server says the topic of a message
	seed  maphash.Seed            // static

	// Guarded by mu.
	mu    sync.Mutex
	due   map[uint64]int // how often each is to be heard
	order []echo         // the oldest first
}

// echo is one that is to be heard until then.
type echo struct {
	mark  uint64
	until time.Time
}

// said notes that a message is said, and returns its mark; 0 if it will not be heard.
func (e *echoes) said(topic string, p core.Payload) (mark uint64) {
	if e.on == nil || !e.on(topic) {
		return 0
	}
	mark = e.mark(topic, p)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for len(e.order) > 0 && (len(e.order) >= maxEchoes || now.After(e.order[0].until)) {
		e.drop(e.order[0].mark)
		e.order = e.order[1:]
	}
	e.due[mark]++
	e.order = append(e.order, echo{mark, now.Add(echoWindow)})
	return mark
}

// heard reports whether a message is an echo; the next one like it is not, unless it was said twice.
func (e *echoes) heard(topic string, p core.Payload) bool {
	if e.on == nil || e.named && !e.on(topic) {
		return false
	}
	mark := e.mark(topic, p)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due[mark] == 0 {
		return false
	}
	e.drop(mark)
	return true
}

// forget takes said back.
func (e *echoes) forget(mark uint64) {
	if mark == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drop(mark)
}

// drop expects one echo less. The caller holds mu.
func (e *echoes) drop(mark uint64) {
	if n := e.due[mark]; n > 1 {
		e.due[mark] = n - 1
	} else {
		delete(e.due, mark)
	}
}

// mark returns a number for a message that is the same after an old server has decoded its JSON and
// encoded it again: numbers are rounded, keys sorted, white space lost (the originals do so).
func (e *echoes) mark(topic string, p core.Payload) uint64 {
	text := core.AppendJSON(nil, p)
	var value any
	if json.Unmarshal(text, &value) == nil {
		if again, err := json.Marshal(value); err == nil {
			text = again
		}
	}
	var h maphash.Hash
	h.SetSeed(e.seed)
	if e.named {
		_, _ = h.WriteString(topic)
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(text)
	return max(h.Sum64(), 1)
}
