package main

import (
	"strings"
	"testing"
	"time"
)

// TestPacedDue checks how many messages a publisher has sent when: the rate is that of all of them, and they
// send by turns.
func TestPacedDue(t *testing.T) {
	tests := []struct {
		name    string
		streams int
		burst   int
		over    time.Duration
		want    []uint64
	}{
		{"at the beginning", 2, 1, 0, []uint64{1, 0}},
		{"half an interval later", 2, 1, 500 * time.Microsecond, []uint64{1, 1}},
		{"before the next", 2, 1, time.Millisecond - 1, []uint64{1, 1}},
		{"an interval later", 2, 1, time.Millisecond, []uint64{2, 1}},
		{"after a second", 2, 1, time.Second - 1, []uint64{1000, 1000}},
		{"bursts at the beginning", 2, 16, 0, []uint64{16, 0}},
		{"bursts after a while", 2, 16, 40 * time.Millisecond, []uint64{48, 48}},
		{"bursts after sixteen seconds", 2, 16, 16*time.Second - 1, []uint64{16000, 16000}},
		{"one alone", 1, 1, time.Second - 1, []uint64{2000}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := &paced{streams: make([]*stream, test.streams), rate: 2000}
			for i, want := range test.want {
				if got := l.due(i, test.burst, test.over); got != want {
					t.Errorf("publisher %d is to have sent %d, want %d", i, got, want)
				}
			}
		})
	}
}

// TestPacedNotices checks that a message that does not arrive as it should fails a run.
func TestPacedNotices(t *testing.T) {
	n := 0
	tests := map[string]struct {
		deliver func(message string) []string
		want    string // "" for no error
	}{
		"as it should": {func(m string) []string { return []string{m} }, ""},
		"changed":      {func(m string) []string { return []string{strings.Replace(m, "x", "y", 1)} }, "got"},
		"lost":         {func(m string) []string { n++; return []string{m}[:n%2] }, "got"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hub := sized(plainHub)
			d := streamDialect{subscriber: greeted{path: hub.subPath}, publishing: greeted{path: hub.pubPath}, publish: hub.publish, receive: hub.receive}
			addr := faultyHub(t, test.deliver)
			s, err := newStream(addr, addr, d, false)
			if err != nil {
				t.Fatal(err)
			}
			l := &paced{streams: []*stream{s}, rate: 1000}
			defer l.close()
			if err := s.settle(); err != nil {
				t.Fatal(err)
			}
			for _, burst := range []int{1, 16} {
				first := s.next
				counted, err := l.run(burst, 50*time.Millisecond)
				if test.want != "" {
					if err == nil || !strings.Contains(err.Error(), test.want) {
						t.Errorf("got %v, want an error with %q", err, test.want)
					}
					return
				}
				// The last burst is due at the end of the time.
				if want := uint64(50/burst+1) * uint64(burst); err != nil || counted.count != want || s.next-first != want || s.done != s.next {
					t.Errorf("counted %d messages, %v; %d were sent, want %d", counted.count, err, s.next-first, want)
				}
				if counted.elapsed < 50*time.Millisecond || counted.latency.total == 0 || counted.latency.quantile(0.5) <= 0 {
					t.Errorf("impossible times: %v, %d latencies", counted.elapsed, counted.latency.total)
				}
			}
		})
	}
}
