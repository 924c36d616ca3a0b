package network

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// mail is one piece of work for a loop: a frame for an audience, an event for a
// connection, or a function.
type mail struct {
	// A frame for one or more audiences. The mail holds a reference to the frame. If there is
	// no frame, lost is why the audiences miss a message.
	frame  *frame
	lost   *loss
	aud    *audience
	more   []core.Audience // others of the same loop; owned by the mail
	except *conn
	stamp  uint64
	pos    uint64 // position in the mailbox, counted from 1

	// An event, or a function, for a connection; or a function for the loop.
	conn  *conn
	event *eventCopy
	fn    func()
}

// loss is a message that a format cannot write.
type loss struct {
	author string // the format of its author
	err    error
}

// audiences calls yield with each audience, until it returns false.
func (m *mail) audiences(yield func(*audience) bool) {
	if !yield(m.aud) {
		return
	}
	for _, aud := range m.more {
		if !yield(aud.(*audience)) {
			return
		}
	}
}

// audienceBytes is the memory of a further audience in a mail.
const audienceBytes = 16

// size returns the bytes of m that count against the bound of a mailbox.
func (m *mail) size() int {
	if m.frame != nil {
		return len(m.frame.bytes) + audienceBytes*len(m.more)
	}
	if m.event != nil {
		return len(m.event.memory)
	}
	return 0
}

// work returns how many connections m is handed to.
func (m *mail) work() int {
	if m.aud == nil {
		return 0
	}
	n := 0
	for aud := range m.audiences {
		n += int(aud.size.Load())
	}
	return n
}

// The bounds of a mailbox. Above congested, nobody on this node publishes or sends requests
// until it is below half of that (room.go). The only messages that still come were in flight
// already (one of each loop and each goroutine), or come from clients that were just let in.
// Mails for many connections cost a loop more than mails for few, and all other senders wait
// for them: congestedWork is what a loop hands out in some hundredths of a second. Above full,
// which a mailbox thus never reaches, frames for audiences are dropped and counted; a mailbox
// of few mails is not full, whatever their size. The bytes of all mailboxes are within a
// quarter of the outbound budget, so that they leave most of it to slow clients. Functions do
// not count: there are only a few for each connection, and those that let publishers continue
// are among them.
const (
	congestedMails = 4 << 10
	congestedBytes = 16 << 20
	congestedWork  = 64 << 10
	fullMails      = 256 << 10
	fullBytes      = 256 << 20
)

// mailbox is the queue into a loop from outside: ordered, bounded, and drained by
// the loop in batches.
type mailbox struct {
	// Static after construction.
	congestedBytes, fullBytes int

	// Guarded by mu.
	mu        sync.Mutex
	queue     []mail
	bytes     int
	told      int // how many of queue are frames and events, not functions
	work      int // the total number of connections that the frames in queue go to
	posted    uint64
	scheduled bool // a drain is scheduled or running
	again     bool // another one was requested since it began
	holds     int  // how many calls of hold are not released
	owed      bool // a drain was requested meanwhile

	// Owned by the loop: the batch being drained, and the loop's position in it.
	batch []mail
	next  int
}

// init sets the bounds of one of n mailboxes.
func (b *mailbox) init(budget int64, n int) {
	b.fullBytes = int(min(fullBytes, budget/4/int64(n)))
	b.congestedBytes = min(congestedBytes, b.fullBytes/4)
}

// position returns the position of the newest mail.
func (b *mailbox) position() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.posted
}

// reserve takes a position for a mail that is appended later.
func (b *mailbox) reserve() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posted++
	return b.posted
}

// append appends m, which may have a position already, and returns the cost of m for its
// publisher: one for each connection that it goes to, and one for each KiB. The caller holds mu.
func (b *mailbox) append(m mail) (cost int64) {
	b.posted++
	if m.pos == 0 {
		m.pos = b.posted
	}
	size, work := m.size(), m.work()
	b.bytes += size
	b.work += work
	if m.fn == nil {
		b.told++
	}
	b.queue = append(b.queue, m)
	return int64(work + size>>10)
}

// schedule reports whether the caller must schedule a drain, and notes that it is scheduled. A
// running drain is followed by another. If a mailbox is crowded, no drain is held back: who holds
// them may be the one that waits for room. The caller holds mu.
func (b *mailbox) schedule(crowded bool) bool {
	switch {
	case b.scheduled:
		b.again = true
		return false
	case b.holds > 0 && !crowded:
		b.owed = true
		return false
	}
	b.scheduled, b.owed = true, false
	return true
}

// begin begins a drain.
func (b *mailbox) begin() {
	b.mu.Lock()
	b.again = false
	b.mu.Unlock()
}

// end ends a drain, and reports whether another is needed: one was requested meanwhile, or
// mails are left.
func (b *mailbox) end() (again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scheduled = false
	return b.again || b.next < len(b.batch)
}

// hold delays drains until release, so that one drain finds all mails appended in between. A
// running drain is not stopped, and none is delayed while mailboxes are crowded.
func (b *mailbox) hold() {
	b.mu.Lock()
	b.holds++
	b.mu.Unlock()
}

// release ends hold. It reports whether the caller must schedule a drain.
func (b *mailbox) release() (schedule bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holds--
	if b.holds > 0 || !b.owed {
		return false
	}
	return b.schedule(false)
}

// full reports whether no more frames for audiences are taken. The caller holds mu.
func (b *mailbox) full() bool {
	return b.told >= fullMails || b.bytes >= b.fullBytes && b.told >= congestedMails
}

// congested reports whether publishers should wait. The caller holds mu.
func (b *mailbox) congested() bool {
	return b.told >= congestedMails || b.bytes >= b.congestedBytes || b.work >= congestedWork
}

// relaxed reports whether held publishers may continue. The caller holds mu.
func (b *mailbox) relaxed() bool {
	return b.told < congestedMails/2 && b.bytes < max(1, b.congestedBytes/2) && b.work < congestedWork/2
}

// take returns the next mail, or nil if there is none. The mail is valid until the next
// call.
func (b *mailbox) take() *mail {
	if b.next == len(b.batch) && !b.swap() {
		return nil
	}
	m := &b.batch[b.next]
	b.next++
	return m
}

// swap makes the queue the batch.
func (b *mailbox) swap() bool {
	clear(b.batch)
	spare := b.batch[:0]
	if cap(spare) > congestedMails {
		spare = nil
	}
	b.next = 0
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batch, b.queue = b.queue, spare
	b.bytes, b.told, b.work = 0, 0, 0
	return len(b.batch) > 0
}
