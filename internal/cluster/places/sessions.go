package places

import (
	"context"
	"errors"
	"time"

	"github.com/polywire/polywire/core"
)

var (
	errUnknown = core.Failure{Code: core.SessionUnknown, Text: "there is no such session"}
	errFull    = core.Failure{Code: core.SessionFull, Text: "the session has too many connections"}
	errInfo    = core.Failure{Code: core.Overloaded, Text: "the session has too much information"}
)

// Sessions is core.SharedSessions. Information of more than 768 KiB is refused with Overloaded. Any
// goroutine.
type Sessions struct {
	// Static after construction.
	table  *Table
	maxAge time.Duration
}

var _ core.SharedSessions = (*Sessions)(nil)

// Sessions returns the session store of the cluster. A session that nobody creates or looks up for
// maxAge is gone; 0 is for ever. The age of a session is that of the store which it was used by last.
func (t *Table) Sessions(maxAge time.Duration) *Sessions { return &Sessions{t, maxAge} }

// Create keeps a new session, in which this node has a place.
func (s *Sessions) Create(ctx context.Context, key string, info []byte) (core.Session, error) {
	if len(info) > maxInfo {
		return core.Session{}, errInfo
	}
	var made core.Session
	err := s.withRecord(ctx, key, func(ctx context.Context, e *entry) error {
		err := s.table.update(ctx, e, func(v *sight) (verdict, int, error) {
			if v.record != nil {
				return keep, 0, core.ErrSessionTaken
			}
			v.record = &record{Created: v.now.UTC(), Lookup: v.now.UTC(), info: info}
			v.use(v.now, s.maxAge)
			made = v.session(key)
			return write, 1, nil
		})
		if err == nil {
			s.table.taken(e, key)
			return nil
		}
		s.table.mu.Lock()
		if e.stored == unknown {
			// It may be there, and nobody knows its key.
			e.key, e.ending = key, true
		}
		s.table.mu.Unlock()
		return err
	})
	return made, err
}

// Lookup finds a session, and takes no place in it.
func (s *Sessions) Lookup(ctx context.Context, key []byte) (core.Session, error) {
	return s.find(ctx, string(key), 0, 0)
}

// Join finds a session and takes a place in it.
func (s *Sessions) Join(ctx context.Context, key []byte, limit int) (core.Session, error) {
	return s.find(ctx, string(key), limit, 1)
}

// find finds a session and takes some places, one or none.
func (s *Sessions) find(ctx context.Context, key string, limit, some int) (found core.Session, err error) {
	err = s.withRecord(ctx, key, func(ctx context.Context, e *entry) error {
		err := s.table.update(ctx, e, func(v *sight) (verdict, int, error) {
			switch {
			case v.record == nil || v.ending:
				return keep, 0, errUnknown
			case some > 0 && limit > 0 && v.others+v.held >= limit:
				return keep, 0, errFull
			}
			found = v.session(key)
			v.Lookup = v.now.UTC()
			v.use(v.now, s.maxAge)
			return write, v.held + some, nil
		})
		if err == nil && some > 0 {
			s.table.taken(e, key)
		}
		return err
	})
	if err != nil {
		return core.Session{}, err
	}
	return found, nil
}

// Leave gives a place back.
func (s *Sessions) Leave(key string) { s.table.give(nameOf(sessionNames, key)) }

// Close gives a place back and deletes the session if it was the last one.
func (s *Sessions) Close(ctx context.Context, key string) (last bool, err error) {
	t := s.table
	t.mu.Lock()
	e := t.entries[nameOf(sessionNames, key)]
	if e == nil || e.held == 0 {
		t.mu.Unlock()
		return false, nil
	}
	e.held--
	e.users++ // until it is known whether the rest has to be done later
	t.mu.Unlock()
	err = s.withRecord(ctx, key, func(ctx context.Context, e *entry) error {
		return t.update(ctx, e, func(v *sight) (verdict, int, error) {
			last = false
			switch {
			case v.record == nil:
				return keep, 0, nil
			case v.held+v.others == 0:
				last = true
				return remove, 0, nil
			}
			return write, v.held, nil
		})
	})
	t.later(e, func() { e.closing = err != nil })
	return last && err == nil, err
}

// Delete ends a session, if there is one.
func (s *Sessions) Delete(ctx context.Context, key string) error {
	_, err := s.End(ctx, key)
	return err
}

// End deletes a session and takes all its places away.
func (s *Sessions) End(ctx context.Context, key string) (known bool, err error) {
	t := s.table
	t.mu.Lock()
	mine := t.entries[nameOf(sessionNames, key)]
	if mine != nil && mine.held == 0 {
		mine = nil
	}
	if mine != nil {
		mine.held = 0
		mine.users++ // until it is known whether the rest has to be done later
	}
	t.mu.Unlock()
	err = s.withRecord(ctx, key, func(ctx context.Context, e *entry) error {
		err := t.update(ctx, e, func(v *sight) (verdict, int, error) {
			if known = v.record != nil; !known {
				return keep, 0, nil
			}
			return remove, 0, nil
		})
		t.mu.Lock()
		e.held = 0
		t.mu.Unlock()
		return err
	})
	if mine != nil {
		t.later(mine, func() { mine.ending = err != nil })
	}
	return known && err == nil, err
}

// withRecord does something while nobody else of this node works on the record of a session, for a
// bounded time. Its errors are what the engine is told.
func (s *Sessions) withRecord(ctx context.Context, key string, do func(context.Context, *entry) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e, err := s.table.lock(ctx, nameOf(sessionNames, key))
	if err == nil {
		err = do(ctx, e)
		s.table.unlock(e)
	}
	if _, told := errors.AsType[core.Failure](err); err == nil || told || errors.Is(err, core.ErrSessionTaken) {
		return err
	}
	return s.table.undecided(ctx, err)
}
