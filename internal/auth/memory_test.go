package auth

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func q(text string) question { return questionOf([]byte(text)) }

// How long answers are fresh: by default, and as the server says.
func TestFreshness(t *testing.T) {
	for _, c := range []struct {
		name, control string
		allows        bool
		want          time.Duration
		kept          bool
	}{
		{"allow", "", true, 30 * time.Second, true},
		{"deny", "", false, 5 * time.Second, true},
		{"max-age", "max-age=60", true, time.Minute, true},
		{"max-age of a refusal", "private, Max-Age=60", false, time.Minute, true},
		{"max-age of nothing", "max-age=0", true, 0, true},
		{"max-age quoted", `max-age="60"`, true, time.Minute, true},
		{"max-age that is none", "max-age=soon", true, 0, true},
		{"max-age below zero", "max-age=-1", true, 0, true},
		{"max-age for ever", "max-age=99999999", true, maxAge, true},
		{"max-age beyond numbers", "max-age=99999999999999999999", true, maxAge, true},
		{"no-cache", "no-cache", true, 0, true},
		{"no-store", "no-store", true, 0, false},
		{"no-store with max-age", "max-age=60, no-store", true, 0, false},
		{"unknown", "immutable", true, 30 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory[int](CacheOptions{Allow: 30 * time.Second, Deny: 5 * time.Second})
				m.put(q("a"), 7, c.allows, http.Header{"Cache-Control": {c.control}}, time.Time{})
				if c.want > 0 {
					time.Sleep(c.want - time.Nanosecond)
					if v, ok := m.fresh(q("a")); !ok || v != 7 {
						t.Errorf("%d %t shortly before the end", v, ok)
					}
					time.Sleep(time.Nanosecond)
				}
				if _, ok := m.fresh(q("a")); ok {
					t.Error("fresh at the end")
				}
				if v, ok := m.last(q("a")); ok != c.kept || ok && v != 7 {
					t.Errorf("last: %d %t", v, ok)
				}
			})
		})
	}
}

// An answer is not fresh after what it says has expired.
func TestFreshUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory[int](CacheOptions{Allow: time.Hour})
		m.put(q("a"), 7, true, nil, time.Now().Add(time.Minute))
		time.Sleep(time.Minute)
		if _, ok := m.fresh(q("a")); ok {
			t.Error("fresh after the end")
		}
	})
}

func TestJitter(t *testing.T) {
	m := newMemory[int](CacheOptions{Allow: time.Hour, Jitter: 0.5})
	times := map[time.Time]bool{}
	now := time.Now()
	for range 100 {
		m.put(q("a"), 7, true, nil, time.Time{})
		k, _ := m.find(q("a"))
		if d := k.until.Sub(now); d < 30*time.Minute || d > time.Hour+time.Minute {
			t.Errorf("fresh for %s", d)
		}
		times[k.until.Truncate(time.Second)] = true
	}
	if len(times) < 50 {
		t.Errorf("only %d different times", len(times))
	}
}

// The last answer is the known one. Its memory is bounded, and refused clients cannot use it
// up.
func TestMemory(t *testing.T) {
	m := newMemory[string](CacheOptions{Allow: time.Hour, Deny: time.Hour, Size: 2})
	want := func(key, want string) {
		t.Helper()
		if got, _ := m.fresh(q(key)); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	m.put(q("a"), "yes", true, nil, time.Time{})
	m.put(q("a"), "no", false, nil, time.Time{})
	want("a", "no")
	m.put(q("a"), "yes", true, nil, time.Time{})
	want("a", "yes")
	for _, key := range []string{"1", "2", "3", "4"} {
		m.put(q(key), "no", false, nil, time.Time{})
	}
	want("1", "")
	want("4", "no")
	want("a", "yes")
	m.put(q("a"), "no", false, http.Header{"Cache-Control": {"no-store"}}, time.Time{})
	if got, ok := m.last(q("a")); ok {
		t.Errorf("an answer that is not to be stored left %q", got)
	}
}

func TestQuestions(t *testing.T) {
	if questionOf([]byte("ab"), []byte("c")) == questionOf([]byte("a"), []byte("bc")) {
		t.Error("the parts run together")
	}
	if questionOf([]byte("a")) == questionOf([]byte("a"), nil) {
		t.Error("an empty part does not count")
	}
}
