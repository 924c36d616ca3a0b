package soak

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var unrest = flag.Duration("unrest", 5*time.Second, "how long speakers and listeners are kept from being at peace")

const (
	// listeners is how many each endpoint of the steady clients has.
	listeners = 2
	// sleepers is how many each endpoint of the sleepers has.
	sleepers = 2
	// reloadEvery is the time between two reloads.
	reloadEvery = 2 * time.Second
	// unrestGrowth is by how many bytes the heap may differ after a test: the runtime keeps the
	// descriptors of as many goroutines as there were at once, some hundred bytes for each side of
	// each client of a storm, and storms differ.
	unrestGrowth = 4 << 20
)

// TestUnrest: nobody on an unchanged endpoint loses a message or a connection, whatever happens
// beside it, on the same listeners: slow readers under every policy, storms of clients, changes of
// the configuration. When all have left nothing is left of them.
func TestUnrest(t *testing.T) {
	w := newWorld(t)
	// The first time creates what stays: what the runtime, pools and loops keep.
	w.live(t, min(max(2*time.Second, *unrest/4), 30*time.Second), func() bool { return true })
	before, none := w.settled(t), leftovers(t)
	count := w.live(t, *unrest, w.wild(t))
	after := w.settled(t)
	t.Logf("%v: %d speakers said %d messages, %d listeners heard %d, each once and in order",
		*unrest, count.speakers, count.said, count.listeners, count.heard.Load())
	t.Logf("beside them: %d storms of %d clients, of whom %d were let in and %d refused; %d messages dropped and %d sleepers disconnected; %d reloads, and %d guests that had to go",
		(w.storms.in.Load()+w.storms.refused.Load())/stormSize, stormSize, w.storms.in.Load(), w.storms.refused.Load(),
		w.metric(t, "polywire_messages_dropped_total"),
		w.metric(t, "polywire_connections_closed_total", reasonIs("slow")), w.reloads, w.invited)
	none()
	compare(t, before, after, unrestGrowth)
}

// wild returns a function that reports whether the unrest of this round is sufficient: storm
// clients were admitted and others refused, and sleepers were too slow under each policy.
func (w *world) wild(t *testing.T) func() bool {
	signs := map[string]func() int64{
		"nobody of a storm was let in":  w.storms.in.Load,
		"nobody of a storm was refused": w.storms.refused.Load,
	}
	for name, p := range policies {
		signs[fmt.Sprintf("no sleeper of %s was too slow for %s", name, p.name)] = func() int64 {
			return w.metric(t, p.metric, reasonIs(p.reason), fmt.Sprintf("endpoint=%q", "slow-"+name))
		}
	}
	before := make(map[string]int64)
	for what, count := range signs {
		before[what] = count()
	}
	deadline := time.Now().Add(*unrest + patience)
	return func() bool {
		for what, count := range signs {
			if count() == before[what] {
				if time.Now().Before(deadline) {
					return false
				}
				t.Errorf("the unrest is too mild: %s", what)
			}
		}
		return true
	}
}

// count is what the steady clients have sent and received.
type count struct {
	speakers, listeners, said int
	heard                     atomic.Int64
}

// live runs speakers and listeners through d of unrest, and until enough reports true. When it
// returns all have left.
func (w *world) live(t *testing.T, d time.Duration, enough func() bool) *count {
	t.Helper()
	speakers, hearers := w.peaceful(t)
	disturbing, peace := context.WithCancel(t.Context())
	defer peace()
	speaking, silence := context.WithCancel(t.Context())
	defer silence()
	told := &count{speakers: len(speakers), listeners: len(hearers)}
	var talk, disturbance sync.WaitGroup
	for _, l := range hearers {
		talk.Go(func() {
			heard, err := l.run()
			if err != nil {
				t.Errorf("a listener of %s: %v", l.name, err)
			}
			told.heard.Add(int64(heard))
		})
	}
	for _, s := range speakers {
		talk.Go(func() {
			if err := s.run(speaking); err != nil {
				t.Errorf("speaker %s: %v", s.name, err)
			}
		})
	}
	w.disturb(disturbing, t, &disturbance)
	reloads := time.NewTicker(reloadEvery)
	defer reloads.Stop()
	for end := time.Now().Add(d); time.Now().Before(end) || !enough(); {
		// Slow machines make reloads too, even if one takes long.
		select {
		case <-reloads.C:
			w.reload(t)
		case <-time.After(min(d, reloadEvery/4)):
		}
	}
	silence()
	talk.Wait()
	peace()
	disturbance.Wait()
	for _, guest := range w.guests {
		guest.leave()
	}
	w.guests = nil
	for _, l := range hearers {
		l.conn.leave()
	}
	for _, s := range speakers {
		told.said += s.number
		s.leave()
	}
	if want := int64(told.said * told.listeners); told.heard.Load() != want {
		t.Errorf("%d messages were heard, want %d", told.heard.Load(), want)
	}
	return told
}

// peaceful connects speakers and listeners.
func (w *world) peaceful(t *testing.T) (speakers []*speaker, hearers []*listener) {
	t.Helper()
	var names []string
	connect := func(name string) *client {
		conn, err := dial(t.Context(), w.by, w.urls[name], dialects[strings.TrimSuffix(name, "-tls")])
		if err != nil {
			t.Fatalf("dialling %s: %v", name, err)
		}
		return conn
	}
	for name := range dialects {
		names = append(names, name, name+"-tls")
	}
	for _, name := range names {
		for range listeners {
			l, err := newListener(name, connect(name), names)
			if err != nil {
				t.Fatalf("subscribing at %s: %v", name, err)
			}
			hearers = append(hearers, l)
		}
	}
	for _, name := range names {
		s, err := newSpeaker(name, connect(name))
		if err != nil {
			t.Fatalf("a speaker at %s: %v", name, err)
		}
		speakers = append(speakers, s)
	}
	return speakers, hearers
}

// disturb starts the unrest beside the steady clients, until ctx ends.
func (w *world) disturb(ctx context.Context, t *testing.T, all *sync.WaitGroup) {
	t.Helper()
	start := func(what string, run func(context.Context) error) {
		all.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	for name, d := range dialects {
		for range sleepers {
			s := &sleeper{by: w.by, url: w.urls["slow-"+name], dialect: d, loud: &w.loud}
			start("a sleeper of "+name, s.run)
		}
	}
	conn, err := dial(ctx, w.by, w.urls["storm"], vws{})
	if err != nil {
		t.Fatal(err)
	}
	start("the loud", func(ctx context.Context) error { return loud(ctx, conn, &w.loud) })
	start("storms", w.storms.run)
}
