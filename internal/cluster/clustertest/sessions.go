package clustertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// EndedSessions returns the sessions of which the node was told that they were ended.
func (r *Recorder) EndedSessions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ended)
}

// codeOf returns the code of a failure, or what the error says; "" for nil.
func codeOf(err error) string {
	if f, ok := errors.AsType[core.Failure](err); ok {
		return string(f.Code)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// creates makes a session, again as long as the cluster cannot decide, and returns its key.
func (m *member) creates(t testing.TB, info string) (key string) {
	t.Helper()
	coretest.Eventually(t, m.name+" creates a session", func() bool {
		key = unique() // an attempt that has failed may have made it
		s, err := m.Sessions.Create(t.Context(), key, []byte(info))
		if err != nil && codeOf(err) != string(core.Unreachable) {
			t.Fatalf("%s creates a session: %v", m.name, err)
		}
		if err == nil && (string(s.Info) != info || s.Created.IsZero()) {
			t.Errorf("%s has created %+v", m.name, s)
		}
		return err == nil
	})
	return key
}

// joins takes a place in a session, again as long as the cluster cannot decide, and returns the code
// of the failure.
func (m *member) joins(t testing.TB, key string, limit int) (code string) {
	t.Helper()
	coretest.Eventually(t, m.name+" is told whether it joins", func() bool {
		_, err := m.Sessions.Join(t.Context(), []byte(key), limit)
		code = codeOf(err)
		return code != string(core.Unreachable)
	})
	return code
}

// joinsAtLast waits until there is a place.
func (m *member) joinsAtLast(t testing.TB, key string, limit int) {
	t.Helper()
	coretest.Eventually(t, m.name+" joins", func() bool {
		code := m.joins(t, key, limit)
		if code != "" && code != string(core.SessionFull) {
			t.Fatalf("%s does not join: %s", m.name, code)
		}
		return code == ""
	})
}

// wantJoin fails the test unless joining ends with a code; "" is success.
func wantJoin(t testing.TB, m *member, key string, limit int, code core.Code) {
	t.Helper()
	if got := m.joins(t, key, limit); got != string(code) {
		t.Errorf("%s joins with %q, want %q", m.name, got, code)
	}
}

// closes gives a place back.
func (m *member) closes(t testing.TB, key string, last bool) {
	t.Helper()
	if got, err := m.Sessions.Close(t.Context(), key); err != nil || got != last {
		t.Errorf("%s closes: the last one is %v, want %v; %v", m.name, got, last, err)
	}
}

// awaitEnd waits until a node is told that a session was ended.
func (m *member) awaitEnd(t testing.TB, key string) {
	t.Helper()
	coretest.Eventually(t, m.name+" is told that the session was ended", func() bool { return slices.Contains(m.EndedSessions(), key) })
}

// testSessions: a session of one node is one of all, with one bound of places.
func testSessions(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	const info = `{"u": "<&>", "n": 1e400}`
	key := a.creates(t, info)
	before, err := b.Sessions.Lookup(t.Context(), []byte(key))
	if err != nil || string(before.Info) != info || before.Created.IsZero() || before.Key != key {
		t.Errorf("b finds %+v, %v", before, err)
	}
	after, err := c.Sessions.Lookup(t.Context(), []byte(key))
	if err != nil || !after.Created.Equal(before.Created) || !after.LastLookup.After(before.LastLookup) {
		t.Errorf("c finds %+v after %+v, %v", after, before, err)
	}
	if _, err := b.Sessions.Create(t.Context(), key, nil); !errors.Is(err, core.ErrSessionTaken) {
		t.Errorf("b creates what there is: %v", err)
	}
	wantJoin(t, b, key, 2, "")
	wantJoin(t, c, key, 2, core.SessionFull)
	wantJoin(t, a, key, 2, core.SessionFull)
	wantJoin(t, c, "nobody has this key", 2, core.SessionUnknown)
	wantJoin(t, c, "", 2, core.SessionUnknown)
	wantJoin(t, c, "\xff\x00\n", 2, core.SessionUnknown)
	b.Sessions.Leave(key)
	c.joinsAtLast(t, key, 2)
	wantJoin(t, b, key, 2, core.SessionFull)
	wantJoin(t, b, key, 0, "")
	wantJoin(t, b, key, 4, "")
	a.closes(t, key, false)
	b.closes(t, key, false)
	wantJoin(t, b, key, 3, "")
	b.closes(t, key, false)
	c.closes(t, key, false)
	b.closes(t, key, true)
	for _, m := range all {
		wantJoin(t, m, key, 0, core.SessionUnknown)
		m.Sessions.Leave(key) // does not count
		m.closes(t, key, false)
		if ended := m.EndedSessions(); len(ended) > 0 {
			t.Errorf("%s is told that %q were ended", m.name, ended)
		}
	}
	// Everybody may leave a session, which goes on.
	key = b.creates(t, "")
	b.Sessions.Leave(key)
	a.joinsAtLast(t, key, 1)
	a.closes(t, key, true)
	if _, err := a.Sessions.Create(t.Context(), unique(), make([]byte, 1<<20)); codeOf(err) != string(core.Overloaded) {
		t.Errorf("1 MiB of information: %v", err)
	}
}

// testSessionEnds: a session that one node ends is taken from all.
func testSessionEnds(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	key, other := a.creates(t, "{}"), a.creates(t, "{}")
	wantJoin(t, b, key, 0, "")
	wantJoin(t, b, key, 0, "")
	wantJoin(t, b, other, 0, "")
	for _, who := range []*member{c, a} { // it has no place, or some
		known, err := who.Sessions.End(t.Context(), key)
		if err != nil || !known {
			t.Fatalf("%s ends: %v, %v", who.name, known, err)
		}
		for _, m := range all {
			if m != who && m != c {
				m.awaitEnd(t, key)
			}
			wantJoin(t, m, key, 0, core.SessionUnknown)
		}
		if known, err := b.Sessions.End(t.Context(), key); err != nil || known {
			t.Errorf("b ends what nobody has: %v, %v", known, err)
		}
		key = a.creates(t, "{}")
		wantJoin(t, b, key, 0, "")
	}
	if err := b.Sessions.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
	a.awaitEnd(t, key)
	for _, m := range all {
		ended := m.EndedSessions()
		if slices.Sort(ended); len(slices.Compact(slices.Clone(ended))) != len(ended) || slices.Contains(ended, other) || m == c && len(ended) > 0 {
			t.Errorf("%s is told that %q were ended", m.name, ended)
		}
	}
}

// testJoinsAtOnce: the bound holds also if all take places at the same time.
func testJoinsAtOnce(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	const limit, each = 10, 8
	key := all[0].creates(t, "{}")
	var joined, full atomic.Int64
	var busy sync.WaitGroup
	for _, m := range all {
		for range each {
			busy.Go(func() {
				_, err := m.Sessions.Join(t.Context(), []byte(key), limit)
				switch code := codeOf(err); core.Code(code) {
				case "":
					joined.Add(1)
				case core.SessionFull:
					full.Add(1)
				default:
					t.Errorf("%s: %s", m.name, code)
				}
			})
		}
	}
	busy.Wait()
	if joined.Load() != limit-1 || full.Load() != int64(len(all)*each-limit+1) {
		t.Errorf("%d have joined and %d have not, want %d and one that has created it", joined.Load(), full.Load(), limit-1)
	}
}

// testPlacesOfTheDead: the places of a node that was killed are free.
func testPlacesOfTheDead(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	key := a.creates(t, "{}")
	wantJoin(t, a, key, 2, "")
	wantJoin(t, b, key, 2, core.SessionFull)
	began := time.Now()
	a.kill()
	b.joinsAtLast(t, key, 2)
	t.Logf("others join after %v", time.Since(began))
	wantJoin(t, c, key, 2, "")
	wantJoin(t, c, key, 2, core.SessionFull)
	b.closes(t, key, false)
	c.closes(t, key, true)
}

// testPlacesOfTheLeaving: the places of a node that leaves are free.
func testPlacesOfTheLeaving(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	key := all[0].creates(t, "{}")
	wantJoin(t, all[1], key, 1, core.SessionFull)
	all[0].leave()
	all[1].joinsAtLast(t, key, 1)
	wantJoin(t, all[2], key, 1, core.SessionFull)
}

// testSessionsAway: who is cut off can do nothing, and what it has counts again when it is back.
func testSessionsAway(t *testing.T, w *world) {
	all := cuttable(t, w, "a", "b")
	a, b := all[0], all[1]
	kept, ended, closed, left := a.creates(t, "{}"), a.creates(t, "{}"), a.creates(t, "{}"), a.creates(t, "{}")
	dropped, both := a.creates(t, "{}"), a.creates(t, "{}")
	wantJoin(t, a, kept, 0, "")
	wantJoin(t, b, both, 0, "")
	a.Cut()
	coretest.Eventually(t, "b sees that a is gone", func() bool { return b.goneTimes(a.ID) > 0 })
	var waiting sync.WaitGroup // each of them waits for some seconds
	for what, f := range map[string]func() error{
		"joins":   func() error { _, err := a.Sessions.Join(t.Context(), []byte(kept), 0); return err },
		"creates": func() error { _, err := a.Sessions.Create(t.Context(), unique(), nil); return err },
		"closes":  func() error { _, err := a.Sessions.Close(t.Context(), closed); return err },
		"leaves":  func() error { _, err := a.Sessions.Close(t.Context(), both); return err },
		"ends":    func() error { _, err := a.Sessions.End(t.Context(), dropped); return err },
	} {
		waiting.Go(func() {
			if err := f(); codeOf(err) != string(core.Unreachable) {
				t.Errorf("who is cut off %s: %v", what, err)
			}
		})
	}
	waiting.Wait()
	a.Sessions.Leave(left)
	// The places of a do not count meanwhile.
	b.joinsAtLast(t, kept, 1)
	if known, err := b.Sessions.End(t.Context(), ended); err != nil || !known {
		t.Errorf("b ends: %v, %v", known, err)
	}
	a.Restore()
	a.awaitEnd(t, ended)
	coretest.Eventually(t, "the places of a count again", func() bool {
		code := b.joins(t, kept, 3)
		if code == "" {
			b.Sessions.Leave(kept)
		}
		return code == string(core.SessionFull)
	})
	b.joinsAtLast(t, left, 1)
	for _, key := range []string{closed, dropped} {
		coretest.Eventually(t, "what was ended meanwhile is not there", func() bool {
			code := b.joins(t, key, 0)
			if code == "" {
				b.Sessions.Leave(key)
			}
			return code == string(core.SessionUnknown)
		})
	}
	coretest.Eventually(t, "what was closed meanwhile is b's alone", func() bool {
		code := b.joins(t, both, 2)
		return code == ""
	})
	if got := a.EndedSessions(); !slices.Equal(got, []string{ended}) {
		t.Errorf("a is told that %q were ended, want %q", got, ended)
	}
}

// testSessionAge: a session that nobody uses is gone, and another one may have its key.
func testSessionAge(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b")
	a, b := all[0], all[1]
	key := a.creates(t, "{}")
	old := b.Aging(time.Second)
	if _, err := old.Lookup(t.Context(), []byte(key)); err != nil {
		t.Fatal(err)
	}
	a.Sessions.Leave(key)
	coretest.Eventually(t, "the session is gone", func() bool {
		_, err := b.Sessions.Create(t.Context(), key, []byte(`{"new":1}`))
		return err == nil
	})
	wantJoin(t, a, key, 2, "")
	wantJoin(t, a, key, 2, core.SessionFull)
}

// testUsers: the connections of a user are bounded over all nodes.
func testUsers(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	joins := func(m *member, user string, limit int) (err error) {
		t.Helper()
		coretest.Eventually(t, m.name+" is told whether there is a place", func() bool {
			err = m.Places.Join(t.Context(), user, limit)
			return err == nil || errors.Is(err, core.ErrNoPlace)
		})
		return err
	}
	want := func(m *member, user string, limit int, want error) {
		t.Helper()
		if err := joins(m, user, limit); !errors.Is(err, want) {
			t.Errorf("%s takes a place of %d: %v, want %v", m.name, limit, err, want)
		}
	}
	want(a, "ann", 2, nil)
	want(b, "ann", 2, nil)
	want(c, "ann", 2, core.ErrNoPlace)
	want(c, "bob", 1, nil)
	a.Places.Leave("ann")
	coretest.Eventually(t, "there is a place", func() bool { return joins(c, "ann", 2) == nil })
	a.Places.Take("ann")
	coretest.Eventually(t, "b knows that a has taken a place", func() bool {
		err := joins(b, "ann", 3)
		if err == nil {
			b.Places.Leave("ann")
		}
		return errors.Is(err, core.ErrNoPlace)
	})
	for range 3 { // more than were taken
		a.Places.Leave("ann")
	}
	b.Places.Leave("ann")
	coretest.Eventually(t, "there are places", func() bool { return joins(b, "ann", 2) == nil })
	want(b, "ann", 2, core.ErrNoPlace)
	c.kill()
	coretest.Eventually(t, "those of the dead are free", func() bool { return joins(a, "bob", 1) == nil })
	want(a, "ann", 2, nil)
	want(b, "ann", 2, core.ErrNoPlace)
}

// testUsersAway: who is cut off is told at once, and its places count again when it is back.
func testUsersAway(t *testing.T, w *world) {
	all := cuttable(t, w, "a", "b")
	a, b := all[0], all[1]
	coretest.Eventually(t, "a has a place", func() bool { return a.Places.Join(t.Context(), "ann", 0) == nil })
	a.Cut()
	coretest.Eventually(t, "b sees that a is gone", func() bool { return b.goneTimes(a.ID) > 0 })
	if err := a.Places.Join(t.Context(), "ann", 0); err == nil || errors.Is(err, core.ErrNoPlace) {
		t.Errorf("who is cut off joins: %v", err)
	}
	a.Places.Take("ann")
	for i := range 100 { // nothing of them is left
		a.Places.Take(fmt.Sprint("user", i))
		a.Places.Leave(fmt.Sprint("user", i))
	}
	coretest.Eventually(t, "those of a do not count", func() bool { return b.Places.Join(t.Context(), "ann", 1) == nil })
	a.Restore()
	coretest.Eventually(t, "those of a count again", func() bool {
		err := b.Places.Join(t.Context(), "ann", 3)
		if err == nil {
			b.Places.Leave("ann")
		}
		return errors.Is(err, core.ErrNoPlace)
	})
}
