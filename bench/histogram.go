package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most 1/32 wide, relative to
// their value: p50 and p99 are exact to 3 %. The zero value is empty.
type histogram struct {
	counts [64 * subBuckets]uint64
	total  uint64
}

// subBuckets is the number of buckets between two powers of two.
const subBuckets = 32

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(max(d, 0))]++
	h.total++
}

// merge adds the durations that another histogram has counted.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile returns the upper bound of the bucket that holds the q-th part of
// the values; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total-1))
	for i, n := range h.counts {
		if rank < n {
			return upperBound(i)
		}
		rank -= n
	}
	return upperBound(len(h.counts) - 1)
}

// bucket returns the index of d: values below subBuckets have a bucket each, above that every power
// of two has subBuckets of them.
func bucket(d time.Duration) int {
	v := uint64(d)
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(subBuckets)
	return shift*subBuckets + int(v>>shift)
}

// upperBound returns the biggest duration of a bucket.
func upperBound(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	shift := i/subBuckets - 1
	return time.Duration((uint64(i-shift*subBuckets)+1)<<shift - 1)
}
