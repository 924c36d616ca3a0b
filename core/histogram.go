package core

import (
	"math"
	"sync/atomic"
	"time"
)

// HistogramSchema says how exact histograms are: 2 to the power of it is how many buckets there
// are from a value to its double, as in Prometheus' native histograms.
const HistogramSchema = 2

const (
	perDouble = 1 << HistogramSchema
	doubles   = 30
)

// buckets count values: the first one those up to a lowest value, and each other one those up
// to a bound that is 2^(1/4) times that of the one before. The last one has no bound.
type buckets [doubles*perDouble + 1]atomic.Uint64

// quarters are the bounds between 0.5 and 1 that lie in between.
var quarters = [perDouble - 1]float64{math.Pow(2, -0.75), math.Pow(2, -0.5), math.Pow(2, -0.25)}

// add counts n times v. lowest is the exponent of the lowest value.
func (b *buckets) add(v float64, lowest int, n uint64) { b[bucketOf(v, lowest)].Add(n) }

func bucketOf(v float64, lowest int) int {
	if v <= 0 {
		return 0
	}
	fraction, exponent := math.Frexp(v)
	at := (exponent - 1 - lowest) * perDouble
	if fraction > 0.5 {
		at++
		for _, q := range quarters {
			if fraction > q {
				at++
			}
		}
	}
	return min(max(at, 0), doubles*perDouble)
}

// Histogram is what a histogram has counted.
type Histogram struct {
	// Lowest is the exponent of the lowest bound: the first count is of the values up to
	// 2^Lowest, and that at i of those up to 2^(Lowest+i/4). The last one is without bound.
	Lowest int
	Counts []uint64
	// Sum is that of all values.
	Sum float64
}

func (b *buckets) read(lowest int, sum float64) Histogram {
	h := Histogram{Lowest: lowest, Counts: make([]uint64, len(b)), Sum: sum}
	for i := range b {
		h.Counts[i] = b[i].Load()
	}
	return h
}

// lowestDuration and lowestSize are exponents: of about a microsecond, in seconds, and of one byte.
const lowestDuration, lowestSize = -20, 0

// Durations is a histogram of durations, from a microsecond to a quarter of an hour. The zero
// value is ready. Any goroutine.
type Durations struct {
	buckets buckets
	sum     atomic.Int64 // nanoseconds
}

// Observe counts d.
func (d *Durations) Observe(v time.Duration) {
	d.buckets.add(v.Seconds(), lowestDuration, 1)
	d.sum.Add(int64(max(v, 0)))
}

// Read returns what was counted, in seconds.
func (d *Durations) Read() Histogram {
	return d.buckets.read(lowestDuration, time.Duration(d.sum.Load()).Seconds())
}

// Outcomes are how long something took, by how it ended.
type Outcomes struct{ OK, Failed Durations }

// Observe counts d.
func (o *Outcomes) Observe(d time.Duration, ok bool) {
	if ok {
		o.OK.Observe(d)
	} else {
		o.Failed.Observe(d)
	}
}

// Sizes is a histogram of sizes in bytes. It does not keep their sum, which is counted elsewhere
// already. The zero value is ready. Any goroutine.
type Sizes struct{ buckets buckets }

// Observe counts a size n times.
func (s *Sizes) Observe(size, n int) { s.buckets.add(float64(size), lowestSize, uint64(n)) }

// Read returns what was counted. sum is that of all sizes.
func (s *Sizes) Read(sum uint64) Histogram { return s.buckets.read(lowestSize, float64(sum)) }
