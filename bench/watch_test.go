package main

import (
	"strings"
	"testing"
	"time"
)

func TestHoldable(t *testing.T) {
	for files, want := range map[uint64]int{0: 0, watchSpare - 1: 0, watchSpare: 0, watchSpare + 1: 1, 20_000: 17_500, 1 << 20: watchIdle} {
		if got := holdable(files); got != want {
			t.Errorf("with %d files %d connections are held, want %d", files, got, want)
		}
	}
}

func TestNextOf(t *testing.T) {
	for page, want := range map[string]string{
		"":                              "",
		`{"connections": [],"total":0}`: "",
		`{"connections": [],"next":"0:7","total":9}`:                              "0:7",
		`{"connections": [{"user":"\"next\":\"no"}],"total":9,"next":"0:8:bg:a"}`: "0:8:bg:a",
		`{"next":"cut`: "cut",
	} {
		if got := nextOf([]byte(page)); got != want {
			t.Errorf("%s continues with %q, want %q", page, got, want)
		}
	}
}

// TestWatchRow checks that the ratios are those of the pairs, not of the medians.
func TestWatchRow(t *testing.T) {
	pair := func(without, with float64) watchPair {
		return watchPair{cost{P50: 10, P99: without}, cost{P50: 20, P99: with}}
	}
	r := newWatchRow("x", []watchPair{pair(100, 300), pair(400, 400), pair(50, 100), pair(1000, 1500), pair(10, 100)}, nil)
	if r.p99 != 2 || r.low != 1.5 || r.high != 3 || r.p50 != 2 {
		t.Errorf("got the ratio %v with the quartiles %v and %v, and %v of p50", r.p99, r.low, r.high, r.p50)
	}
	if r.without.P99 != 100 || r.with.P99 != 300 || r.pairs != 5 {
		t.Errorf("got the medians %v and %v of %d pairs", r.without.P99, r.with.P99, r.pairs)
	}
}

func TestQuietPairs(t *testing.T) {
	calm, busy := cost{Others: quiet}, cost{Others: quiet + 0.01}
	all := []watchPair{{calm, calm}, {calm, busy}, {busy, calm}, {busy, busy}}
	if got := quietPairs(all); len(got) != 1 || got[0] != all[0] {
		t.Errorf("got %v", got)
	}
}

// TestWatchCases checks that each watcher of a case is one that there is, and that the first case is none.
func TestWatchCases(t *testing.T) {
	for i, c := range watchCases() {
		for _, name := range append(c.beside, c.with...) {
			if watchings[name] == nil {
				t.Errorf("%s: there is no watcher %q", c.name, name)
			}
		}
		if none := len(c.with) == 0 && !c.events; none != (i == 0) {
			t.Errorf("%s is number %d and disturbs: %v", c.name, i, !none)
		}
	}
}

func TestPrintWatch(t *testing.T) {
	var text strings.Builder
	rows := []watchRow{newWatchRow("lists", []watchPair{{cost{P50: 1, P99: 10}, cost{P50: 1, P99: 30, Others: 1}}}, counts{"answers 200": 3})}
	if err := printWatch(&text, watchTarget{Idle: 17_500, Lists: 5}, rows); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3.00", "MISSED", "lists: 3 answers 200", "17500 connections are held, not 100000", "quiet machine"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &text)
		}
	}
}

// TestSteady checks that a steady load counts what arrives, and publishes no faster than it should.
func TestSteady(t *testing.T) {
	hub := sized(plainHub)
	addr := faultyHub(t, func(m string) []string { return []string{m} })
	l, err := newLoad(addr, contender{speaker: hub, listeners: []dialect{hub}}, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	const rate = 100
	s, err := newSteady(l, rate)
	if err != nil {
		l.close()
		t.Fatal(err)
	}
	defer s.close()
	for range 2 {
		got, err := s.run(200 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if got.count == 0 || got.count != got.latency.total || float64(got.count) > got.elapsed.Seconds()*rate+1 {
			t.Errorf("%d messages in %v, with %d latencies", got.count, got.elapsed, got.latency.total)
		}
	}
}

// TestSteadyNotices checks that a message that is changed fails a run.
func TestSteadyNotices(t *testing.T) {
	hub := sized(plainHub)
	addr := faultyHub(t, func(m string) []string { return []string{strings.Replace(m, "x", "y", 1)} })
	l, err := newLoad(addr, contender{speaker: hub, listeners: []dialect{hub}}, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSteady(l, 100)
	if err != nil {
		l.close()
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.run(time.Minute); err == nil || !strings.Contains(err.Error(), "message 1: got") {
		t.Errorf("got %v", err)
	}
}
