package core

import (
	"sync"
	"sync/atomic"
	"time"
)

// peakTime is for how long the highest value of a level is kept at least.
const peakTime = time.Minute

// Level is a number that rises and falls, and how high it was. The zero value is 0. Any goroutine.
type Level struct {
	// Atomic.
	now, high atomic.Int64

	// Guarded by mu.
	mu     sync.Mutex
	before int64 // the highest value before since
	since  time.Time
}

// Add adds n, which may be negative.
func (l *Level) Add(n int64) {
	if v := l.now.Add(n); n > 0 {
		l.raise(v)
	}
}

// Saw says that the number is or was v.
func (l *Level) Saw(v int64) {
	if v > l.high.Load() {
		l.raise(v)
	}
}

func (l *Level) raise(v int64) {
	for high := l.high.Load(); v > high && !l.high.CompareAndSwap(high, v); high = l.high.Load() {
	}
}

// Now returns the number.
func (l *Level) Now() int64 { return l.now.Load() }

// Peak returns the highest value since the last call, and of at least the last minute: of up to
// two of them if it is called more often.
func (l *Level) Peak(now time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	high := max(l.high.Load(), l.now.Load())
	peak := max(l.before, high)
	if now.Sub(l.since) >= peakTime {
		l.before, l.since = high, now
		l.high.Store(l.now.Load())
	}
	return peak
}
