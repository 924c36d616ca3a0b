package sessions

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func newKey() string {
	key, _ := core.SessionKeys(nil).New()
	return key
}

func TestMemory(t *testing.T) {
	m := NewMemory()
	now := time.Unix(1000, 0)
	m.now = func() time.Time { return now }
	ctx := context.Background()
	info := []byte("info")
	s, err := m.Create(ctx, newKey(), info)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(ctx, s.Key, nil); !errors.Is(err, core.ErrSessionTaken) {
		t.Errorf("Create with a key that is taken: %v", err)
	}
	info[0], s.Info[0] = '!', '!'
	for _, want := range []time.Time{now, now.Add(time.Second), now.Add(2 * time.Second)} {
		now = now.Add(time.Second)
		found, err := m.Lookup(ctx, []byte(s.Key))
		if err != nil || !found.LastLookup.Equal(want) || !found.Created.Equal(time.Unix(1000, 0)) || string(found.Info) != "info" {
			t.Errorf("Lookup = %+v, %v; want LastLookup %v", found, err, want)
		}
	}
	for range 2 {
		if err := m.Delete(ctx, s.Key); err != nil {
			t.Error(err)
		}
	}
	var f core.Failure
	if _, err := m.Lookup(ctx, []byte(s.Key)); !errors.As(err, &f) || f.Code != core.SessionUnknown {
		t.Errorf("Lookup after Delete: %v", err)
	}
	if without, _ := m.Create(ctx, newKey(), nil); without.Info != nil {
		t.Errorf("info %q of a session without", without.Info)
	}
}

func TestMemoryLimits(t *testing.T) {
	m := NewMemory()
	now := time.Unix(1000, 0)
	m.now = func() time.Time { return now }
	ctx := t.Context()
	unknown := func(key string) {
		t.Helper()
		var f core.Failure
		if _, err := m.Lookup(ctx, []byte(key)); !errors.As(err, &f) || f.Code != core.SessionUnknown {
			t.Errorf("%s: %v, want that it is unknown", key, err)
		}
	}
	create := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			if _, err := m.Create(ctx, key, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	create("a", "b", "c", "d")
	m.SetLimits(core.SessionLimits{Max: 3, MaxAge: time.Hour})
	unknown("a")
	if _, err := m.Lookup(ctx, []byte("b")); err != nil {
		t.Error(err)
	}
	create("e")
	unknown("c")
	now = now.Add(30 * time.Minute)
	if _, err := m.Lookup(ctx, []byte("b")); err != nil {
		t.Error(err)
	}
	now = now.Add(45 * time.Minute)
	if _, err := m.Lookup(ctx, []byte("b")); err != nil {
		t.Errorf("what was used lately is unknown: %v", err)
	}
	unknown("d")
	unknown("e")
	m.SetLimits(core.SessionLimits{})
	now = now.Add(1000 * time.Hour)
	if _, err := m.Lookup(ctx, []byte("b")); err != nil || m.Evicted() != 4 {
		t.Errorf("%v; %d were put out, want 4", err, m.Evicted())
	}
}

func TestMemoryBounds(t *testing.T) {
	m := NewMemory()
	ctx := context.Background()
	first, _ := m.Create(ctx, newKey(), nil)
	second, _ := m.Create(ctx, newKey(), nil)
	for range maxSessions - 2 {
		_, _ = m.Create(ctx, newKey(), nil)
	}
	if _, err := m.Lookup(ctx, []byte(first.Key)); err != nil {
		t.Fatal(err)
	}
	_, _ = m.Create(ctx, newKey(), nil)
	if _, err := m.Lookup(ctx, []byte(first.Key)); err != nil {
		t.Errorf("what was looked up lately was put out: %v", err)
	}
	if _, err := m.Lookup(ctx, []byte(second.Key)); err == nil || m.Evicted() != 1 {
		t.Errorf("%d sessions were put out, the oldest: %v", m.Evicted(), err)
	}

	if _, err := m.Create(ctx, newKey(), make([]byte, maxSessionInfo+1)); err == nil {
		t.Error("too much information was taken")
	}
	if _, err := m.Create(ctx, newKey(), make([]byte, maxSessionInfo)); err != nil {
		t.Error(err)
	}
	if _, err := m.Create(ctx, newKey(), make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if m.info != 1 || len(m.byKey) != m.recent.Len() {
		t.Errorf("%d bytes of information, %d keys of %d sessions", m.info, len(m.byKey), m.recent.Len())
	}
}
