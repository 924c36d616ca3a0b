package places

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// workers is how many records are written at a time.
	workers = 8
	// writeAgain is how long is waited after a write that has failed.
	writeAgain = 250 * time.Millisecond
	// recheck is how often each record is looked at at least, and recheckPause how often it is seen
	// which ones have to be.
	recheck      = 20 * time.Minute
	recheckPause = 30 * time.Second
	// userAge is how long the record of a user is kept after it was written; refreshAge is after which
	// time it is written again. It is so much longer than recheck that none ends while it is needed.
	userAge    = 2 * time.Hour
	refreshAge = userAge / 4
)

// Run works with a store until ctx ends, the life of a connection to the engine: it writes what the
// records do not have yet, after it has looked at all of them. One call at a time.
func (t *Table) Run(ctx context.Context, s Store) {
	t.mu.Lock()
	t.store, t.since = s, time.Now()
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
	t.LookAtAll()
	defer func() {
		t.mu.Lock()
		t.store = nil
		t.mu.Unlock()
	}()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { t.work(ctx) })
	}
	ticker := time.NewTicker(recheckPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			all.Wait()
			return
		case <-ticker.C:
			t.recheck()
		}
	}
}

// LookAtAll has all records looked at that this node has places in: the engine may have forgotten some.
// It does not block. Any goroutine.
func (t *Table) LookAtAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		t.settleSoon(e)
	}
}

// recheck finds the records that are to be looked at.
func (t *Table) recheck() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, e := range t.entries {
		if e.held > 0 && now.After(e.check) {
			t.settleSoon(e)
		}
	}
}

// work settles entries until ctx ends.
func (t *Table) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		for ctx.Err() == nil {
			name, ok := t.next()
			if !ok {
				break
			}
			if err := t.settle(ctx, name); err != nil && ctx.Err() == nil {
				t.o.Logger.Warn("the cluster cannot be told who has a session or is connected", logging.Bounded("", ""), slog.String("error", err.Error()))
				roster.Sleep(ctx, writeAgain)
			}
		}
	}
}

// next returns the name of an entry that is to be settled, and wakes another worker if there are more.
func (t *Table) next() (name string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := range t.dirty {
		delete(t.dirty, e)
		if len(t.dirty) > 0 {
			t.wakeWorker()
		}
		return e.name, true
	}
	return "", false
}

// settle brings a record to what this node has.
func (t *Table) settle(ctx context.Context, name string) error {
	e, err := t.lock(ctx, name)
	if err != nil {
		return err
	}
	defer t.unlock(e)
	t.mu.Lock()
	key := e.key
	t.mu.Unlock()
	gone := false
	err = t.update(ctx, e, func(s *sight) (verdict, int, error) {
		gone = false
		if strings.HasPrefix(name, userNames) {
			return s.settleUser()
		}
		switch {
		case s.record == nil && s.held > 0:
			// That it is not there is believed only if it can be written.
			gone = true
			return remove, 0, nil
		case s.record == nil:
			return keep, 0, nil
		case s.ending, s.closing && s.held+s.others == 0:
			return remove, 0, nil
		case s.has != s.held:
			return write, s.held, nil
		}
		return keep, 0, nil
	})
	t.mu.Lock()
	if err == nil {
		e.ending, e.closing = false, false
		if gone {
			gone = e.held > 0
			e.held = 0
		}
	} else {
		t.settleSoon(e)
	}
	t.mu.Unlock()
	if err == nil && gone {
		t.cluster.SessionEnded(key)
	}
	return err
}

// settleUser is settle for the record of a user, which is there as long as somebody has a place.
func (s *sight) settleUser() (verdict, int, error) {
	switch {
	case s.record == nil && s.held == 0:
		return keep, 0, nil
	case s.record == nil:
		s.record = new(record)
	case s.held+s.others == 0:
		return remove, 0, nil
	case s.has == s.held && s.Expires.Sub(s.now) > userAge-refreshAge:
		return keep, 0, nil
	}
	s.use(s.now, userAge)
	return write, s.held, nil
}

// Written waits until the records have what connections here had before the call. The error says that
// ctx ended before, or that there is no connection.
func (t *Table) Written(ctx context.Context) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		if left, _ := t.left(); left == 0 {
			return nil
		}
		if !t.connected() {
			return errAway
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// Leave waits until what was closed here is deleted, or ctx ends. The places of this node need not be
// written: they do not count when it has left.
func (t *Table) Leave(ctx context.Context) {
	if t.Written(ctx) == nil {
		return
	}
	if _, closed := t.left(); closed > 0 {
		t.o.Logger.Warn("sessions were closed here that the cluster keeps, as it could not be asked", slog.Int("sessions", closed))
	}
}

// left returns how many records are to be written, and how many sessions to be deleted.
func (t *Table) left() (all, closed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.ending || e.closing {
			closed++
		}
		if e.users > 0 || e.ending || e.closing || e.held != e.stored {
			all++
		}
	}
	return all, closed
}
