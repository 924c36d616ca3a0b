package main

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	tests := []struct {
		name     string
		values   []time.Duration
		q        float64
		min, max time.Duration
	}{
		{"empty", nil, 0.5, 0, 0},
		{"zero", []time.Duration{0}, 0.5, 0, 0},
		{"negative counts as zero", []time.Duration{-5}, 0.5, 0, 0},
		{"small values are exact", []time.Duration{1, 2, 3}, 0.5, 2, 2},
		{"the last exact value", []time.Duration{63}, 1, 63, 63},
		{"the first bucket of two", []time.Duration{64}, 1, 64, 65},
		{"one second", []time.Duration{time.Second}, 0.99, time.Second, 1035 * time.Millisecond},
		{"the middle", []time.Duration{10, time.Microsecond, time.Hour}, 0.5, time.Microsecond, 1035 * time.Nanosecond},
		{"the top", []time.Duration{10, 20, time.Hour}, 1, time.Hour, 62 * time.Minute},
		{"the longest", []time.Duration{1<<63 - 1}, 1, 1<<63 - 1, 1<<63 - 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var h histogram
			for _, v := range test.values {
				h.add(v)
			}
			if got := h.quantile(test.q); got < test.min || got > test.max {
				t.Errorf("quantile(%v) = %d, want %d to %d", test.q, got, test.min, test.max)
			}
		})
	}
}

// TestBuckets checks that buckets are in order, without a gap, and narrow.
func TestBuckets(t *testing.T) {
	for i := range len(histogram{}.counts) - 1 {
		top := upperBound(i)
		if top == 1<<63-1 {
			break
		}
		if bucket(top) != i || bucket(top+1) != i+1 {
			t.Fatalf("bucket(%d) = %d, bucket(%d) = %d, want %d and %d", top, bucket(top), top+1, bucket(top+1), i, i+1)
		}
		if next := upperBound(i + 1); float64(next-top) > float64(next)/subBuckets+1 {
			t.Fatalf("bucket %d reaches from %d to %d", i+1, top+1, next)
		}
	}
}

// TestMerge checks that a histogram has what both have counted.
func TestMerge(t *testing.T) {
	var h, other histogram
	h.add(1)
	other.add(2)
	other.add(3)
	if h.merge(&other); h.total != 3 || h.quantile(0) != 1 || h.quantile(0.5) != 2 || h.quantile(1) != 3 {
		t.Errorf("%d values from %v over %v to %v, want 3 from 1 over 2 to 3", h.total, h.quantile(0), h.quantile(0.5), h.quantile(1))
	}
}
