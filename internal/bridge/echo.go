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
	// maxEchoes bounds what is remembered: 30,000 messages a second for as long as the window is, of which the
	// first was not heard again. Beyond it the oldest is forgotten.
	maxEchoes = 1 << 20
)

// echoes are what the bridge has said to the old server, and may hear from there as any subscriber does.
// Any goroutine.
type echoes struct {
	on    func(topic []byte) bool // static: whether the bridge hears what it says on a topic
	named bool                    // static: whether the old server says the topic of a message
	seed  maphash.Seed            // static

	// Guarded by mu.
	mu    sync.Mutex
	marks map[uint64]count
	order []echo // the oldest first
}

// count is how many equal messages in order are still to be heard, and how many were: the oldest of them.
type count struct{ due, heard int }

// echo is a message that is to be heard until then, or was.
type echo struct {
	mark  uint64
	until time.Time
}

// said notes at a time that a message is said, and returns its mark; 0 if it will not be heard.
func (e *echoes) said(topic []byte, p core.Payload, now time.Time) (mark uint64) {
	if e.on == nil || !e.on(topic) {
		return 0
	}
	mark = e.mark(topic, p)
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.order) > 0 && (len(e.order) >= maxEchoes || now.After(e.order[0].until)) {
		e.removeOldest()
	}
	n := e.marks[mark]
	n.due++
	e.marks[mark] = n
	e.order = append(e.order, echo{mark, now.Add(echoWindow)})
	return mark
}

// heard reports whether a message is an echo; the next one like it is not, unless it was said twice.
func (e *echoes) heard(topic []byte, p core.Payload) bool {
	if e.on == nil || e.named && !e.on(topic) {
		return false
	}
	e.mu.Lock()
	none := len(e.order) == 0
	e.mu.Unlock()
	return !none && e.settle(e.mark(topic, p))
}

// forget takes said back. If others like it are due, it is the oldest that is not any more.
func (e *echoes) forget(mark uint64) {
	if mark != 0 {
		e.settle(mark)
	}
}

// settle expects an echo no longer, if it is due.
func (e *echoes) settle(mark uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.marks[mark]
	if n.due == 0 {
		return false
	}
	e.marks[mark] = count{n.due - 1, n.heard + 1}
	for len(e.order) > 0 && e.marks[e.order[0].mark].heard > 0 {
		e.removeOldest()
	}
	return true
}

// removeOldest removes the oldest of order. The caller holds mu.
func (e *echoes) removeOldest() {
	mark := e.order[0].mark
	e.order = e.order[1:]
	n := e.marks[mark]
	if n.heard > 0 {
		n.heard--
	} else {
		n.due--
	}
	if e.marks[mark] = n; n == (count{}) {
		delete(e.marks, mark)
	}
}

// mark returns a number for a message that is the same after an old server has decoded its JSON and
// encoded it again: numbers are rounded, keys sorted, white space lost (the originals do so).
func (e *echoes) mark(topic []byte, p core.Payload) uint64 {
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
		_, _ = h.Write(topic)
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(text)
	return max(h.Sum64(), 1)
}
