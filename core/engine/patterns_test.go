package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func unsubPattern(pattern string) core.Command {
	return core.Command{Verb: core.Unsubscribe, Topic: b(pattern), Pattern: true}
}

// Connections hear what their subscriptions match, once each, as one who keeps a list of
// them and asks core.MatchPattern about each says it.
func TestPatternsModel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	w := newWorld(t, 2)
	sites := []*site{w.site(core.Endpoint{}), w.site(core.Endpoint{TopicPrefix: "a/"})}
	type model struct {
		link *link
		subs map[string]bool // "pattern" and "=topic"
	}
	connect := func(i int) *model { return &model{sites[i%2].connect(i / 2 % 2), map[string]bool{}} }
	var all []*model
	for i := range 6 {
		all = append(all, connect(i))
	}
	heard := 0
	for step := range 6000 {
		i := r.IntN(len(all))
		m := all[i]
		name := randomName(r)
		key, subscribe, unsubscribe := "="+name, sub(name), unsub(name)
		if r.IntN(3) > 0 && core.HasWildcard(name) {
			key, subscribe, unsubscribe = name, subPattern(name), unsubPattern(name)
		}
		switch r.IntN(8) {
		case 0, 1, 2:
			m.link.do(subscribe)
			m.subs[key] = true
		case 3, 4:
			m.link.do(unsubscribe)
			delete(m.subs, key)
		case 5:
			if r.IntN(20) == 0 {
				m.link.gone(false)
				all[i] = connect(i)
			} else if r.IntN(10) == 0 {
				m.link.do(core.Command{Verb: core.UnsubscribeAll})
				clear(m.subs)
			}
		default:
			if core.Reserved(b(name)) {
				continue
			}
			m.link.message(pub(name, "m"))
			w.pump()
			whole := m.link.site.TopicPrefix + name
			for _, other := range all {
				topic, visible := strings.CutPrefix(whole, other.link.site.TopicPrefix)
				want := 0
				for key := range other.subs {
					exact, isTopic := strings.CutPrefix(key, "=")
					if visible && (isTopic && exact == topic || !isTopic && core.MatchPattern(key, []byte(topic))) {
						want = 1
					}
				}
				heard += want
				got := 0
				for _, ev := range other.link.heard {
					if ev.Kind == core.Message {
						got++
					}
				}
				if got != want {
					t.Fatalf("step %d: %q was heard %d times, want %d, with %v", step, whole, got, want, other.subs)
				}
			}
		}
		for _, other := range all {
			other.link.heard = nil
		}
	}
	if heard < 500 {
		t.Errorf("only %d messages were heard: the test tests little", heard)
	}
	for _, m := range all {
		m.link.gone(false)
	}
	wantEmpty(t, w.engine)
}

// Patterns that match the same make one audience, however many a connection has, and each
// ends under its own name.
func TestAlikePatterns(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Patterns: 100_000})})
	x, y := s.connect(0), s.connect(0)
	const n = 3000
	for i := range n {
		x.message(subPattern(fmt.Sprintf("#%d", i)), subPattern(fmt.Sprintf("+%d/+%d", i, i)), subPattern(fmt.Sprintf("#%d/never", i)))
	}
	x.said()
	if got := w.engine.Topics(); got != 3 {
		t.Errorf("%d topics and patterns, want 3", got)
	}
	w.engine.mu.RLock()
	sc := new(scratch)
	w.engine.match(sc, b("a/b"))
	w.engine.mu.RUnlock()
	if len(sc.hits) != 2 {
		t.Errorf("a publish has %d audiences, want 2", len(sc.hits))
	}
	wants(t, "heard once", y.do(pub("a/b", "m")), "done publish a/b")
	wants(t, "heard once", x.said(), "message a/b =m")
	for i := range n {
		x.message(unsubPattern(fmt.Sprintf("+%d/+%d", i, i)))
		if i < n-1 {
			x.message(unsubPattern(fmt.Sprintf("#%d", i)))
		}
	}
	x.said()
	y.do(pub("a/b", "m"))
	wants(t, "the last of them", x.said(), "message a/b =m")
	wants(t, "that name is not there", x.do(unsubPattern("#0")), "done unsubscribe #0")
	y.do(pub("a/b", "m"))
	wants(t, "still the last", x.said(), "message a/b =m")
	x.do(unsubPattern(fmt.Sprintf("#%d", n-1)))
	wants(t, "nobody", y.do(pub("a/b", "m")), "done publish a/b unheard")
	x.gone(false)
	y.gone(false)
	wantEmpty(t, w.engine)
}

// A connection has some hundreds of patterns, unless its endpoint says otherwise; topics
// do not count.
func TestPatternBound(t *testing.T) {
	w := newWorld(t, 1)
	limits := core.NewLiveLimits(core.Limits{})
	s := w.site(core.Endpoint{Limits: limits})
	x := s.connect(0)
	for i := range defaultMaxPatterns {
		wants(t, "as many as may be", x.do(subPattern(fmt.Sprintf("+/%d", i)))[:4], "done")
	}
	wants(t, "one more", x.do(subPattern("+/more")), "failed subscribe +/more overloaded")
	wants(t, "one that it has", x.do(subPattern("+/0")), "done subscribe +/0")
	wants(t, "one like one that it has", x.do(subPattern("+a/0")), "failed subscribe +a/0 overloaded")
	wants(t, "a topic", x.do(sub("+/more")), "done subscribe +/more")
	wants(t, "a pattern that is a topic", x.do(subPattern("plain")), "done subscribe plain")
	wantCount(t, &s.Stats.Refused, core.ReasonOverload, 2)
	x.do(unsubPattern("+/0"))
	wants(t, "room again", x.do(subPattern("+/more")), "done subscribe +/more")
	limits.Set(core.Limits{Patterns: 600})
	wants(t, "another bound", x.do(subPattern("+/even/more")), "done subscribe +/even/more")
	limits.Set(core.Limits{Patterns: 3})
	wants(t, "a lower one", x.do(subPattern("#")), "failed subscribe # overloaded")
	x.gone(false)
	wantEmpty(t, w.engine)
}

// A pattern counts once for each 16 of its levels, and what ends makes as much room: a
// publish goes down all levels of all patterns that its topic fits. Broken version: each
// counts once (255 patterns of 252 levels make each publish cost 3 ms).
func TestDeepPatternsCountMore(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	deep := func(i int) string { return strings.Repeat("+/", 250) + fmt.Sprint(i) }
	const fits = defaultMaxPatterns / 16
	for i := range fits {
		wants(t, "as many as may be", x.do(subPattern(deep(i)))[:4], "done")
	}
	if said := x.do(subPattern(deep(fits))); !strings.HasSuffix(said, " overloaded") {
		t.Errorf("one more: %s", said)
	}
	x.do(unsubPattern(deep(0)))
	for i := range 16 {
		wants(t, "as many shallow ones", x.do(subPattern(fmt.Sprintf("+/%d", i)))[:4], "done")
	}
	if said := x.do(subPattern("+/more")); !strings.HasSuffix(said, " overloaded") {
		t.Errorf("a shallow one more: %s", said)
	}
	x.gone(false)
	wantEmpty(t, w.engine)
}
