package core_test

import (
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// A sampler takes one of so many, and not more in a second than it may.
func TestSampler(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := core.NewSampler(core.TapOptions{Every: 2, PerSecond: 3})
	taken := func(at time.Time, n int) (numbers []uint64) {
		for range n {
			if number, ok := s.Take(at); ok {
				numbers = append(numbers, number)
			}
		}
		return numbers
	}
	for i, want := range []struct {
		at    time.Duration
		n     int
		first uint64
		len   int
	}{{0, 10, 1, 3}, {999 * time.Millisecond, 10, 0, 0}, {time.Second, 2, 21, 1}, {5 * time.Second, 100, 23, 3}} {
		got := taken(now.Add(want.at), want.n)
		if len(got) != want.len || want.len > 0 && got[0] != want.first {
			t.Errorf("%d: %v", i, got)
		}
	}
	all := core.NewSampler(core.TapOptions{})
	for i := range uint64(100) {
		if n, ok := all.Take(now); !ok || n != i+1 {
			t.Errorf("%d is %d, %v", i, n, ok)
		}
	}
}
