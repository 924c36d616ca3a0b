package engine

import (
	"sync"
	"sync/atomic"
	"testing"
)

// There are never more than there are places, and none is lost.
func TestPlaces(t *testing.T) {
	const size = 3
	p := newPlaces(size)
	var inside atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if !p.take(nil) {
					continue
				}
				if n := inside.Add(1); n > size {
					t.Errorf("%d have one of %d places", n, size)
				}
				inside.Add(-1)
				p.give(nil)
			}
		})
	}
	all.Wait()
	for i := range size {
		if !p.take(nil) {
			t.Fatalf("of %d places %d are left", size, i)
		}
	}
	if p.take(nil) {
		t.Errorf("there are more than %d places", size)
	}
}
