package network

import (
	"math"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// bucket is a token bucket kept as one number (the generic cell rate algorithm): the
// time up to which the rate is used up. It may be in the future, because input that arrived
// must be accepted. Times count from the start of the server. Not safe for concurrent use.
type bucket struct{ spent time.Duration }

// newBucket returns a full bucket.
func newBucket() bucket { return bucket{math.MinInt64 / 2} }

// take uses up n, whether or not that much is left.
func (b *bucket) take(r core.Rate, now time.Duration, n int) {
	b.spent = b.level(r, now) + span(r, n)
}

// wait returns the time until one is left; 0 or less if one is left now.
func (b *bucket) wait(r core.Rate, now time.Duration) time.Duration {
	return b.level(r, now) + span(r, 1) - now
}

// level returns spent, with at most a burst saved up.
func (b *bucket) level(r core.Rate, now time.Duration) time.Duration {
	burst := r.Burst
	if burst == 0 {
		burst = r.Amount
	}
	// A waiting client is checked once per tick. A burst of less than a tick would reduce
	// the rate.
	return max(b.spent, now-max(span(r, burst), timers.Tick))
}

// span returns how long the rate takes for n.
func span(r core.Rate, n int) time.Duration {
	return time.Duration(float64(n) * float64(r.Per) / float64(r.Amount))
}
