package logging

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting is how many records may wait for the handler.
const maxWaiting = 4096

// queue hands records to their handlers in order, on a goroutine that ends when the queue is
// empty, so that nothing has to be stopped. Any goroutine.
type queue struct {
	// Static after construction.
	complain slog.Handler // gets the reports of dropped records

	// Atomic.
	dropped atomic.Uint64

	// Guarded by mu.
	mu      sync.Mutex
	waiting []entry
	lost    uint64        // records dropped after the last of waiting
	empty   chan struct{} // closed when the goroutine ends; nil if there is none
}

// entry is a record and its handler.
type entry struct {
	ctx    context.Context
	to     slog.Handler
	record slog.Record
}

// put appends e, or drops it.
func (q *queue) put(e entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxWaiting {
		q.dropped.Add(1)
		q.lost++
		return
	}
	q.tellLost()
	q.waiting = append(q.waiting, e)
	if q.empty == nil {
		q.empty = make(chan struct{})
		go q.handOn(q.empty)
	}
}

// tellLost appends a record that says how many were dropped, if any were. The caller
// holds mu.
func (q *queue) tellLost() {
	if q.lost == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines are missing in the log: it is written too slowly", 0)
	r.Add("lines", q.lost)
	q.waiting = append(q.waiting, entry{ctx: context.Background(), to: q.complain, record: r})
	q.lost = 0
}

// handOn hands on entries until the queue is empty.
func (q *queue) handOn(empty chan struct{}) {
	defer close(empty)
	for {
		e, ok := q.next()
		if !ok {
			return
		}
		q.handle(e)
	}
}

// next takes the first entry. If there is none, the calling goroutine must end.
func (q *queue) next() (e entry, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.tellLost()
	}
	if len(q.waiting) == 0 {
		q.waiting, q.empty = nil, nil
		return entry{}, false
	}
	e, q.waiting[0] = q.waiting[0], entry{}
	q.waiting = q.waiting[1:]
	return e, true
}

// handle hands a record on. If the handler fails or panics, the record is lost and counted.
func (q *queue) handle(e entry) {
	defer func() {
		if recover() != nil {
			q.dropped.Add(1)
		}
	}()
	if e.to.Enabled(e.ctx, e.record.Level) && e.to.Handle(e.ctx, e.record) != nil {
		q.dropped.Add(1)
	}
}

// flush waits until the queue is empty, or until limit is over.
func (q *queue) flush(limit time.Duration) {
	q.mu.Lock()
	empty := q.empty
	q.mu.Unlock()
	if empty == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C:
	}
}
