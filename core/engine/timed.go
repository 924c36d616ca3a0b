package engine

import "time"

// Reading the clock costs a good part of what a call costs. So all calls are measured only while
// they are few: of those that come within timedPause after one that is measured, one of timedShare is.
const (
	timedPause = time.Millisecond
	timedShare = 16
)

// timed chooses the calls that are measured.
type timed struct {
	last    time.Time
	skipped int
}

// next reports whether a call that begins now is measured.
func (t *timed) next(now time.Time) bool {
	if t.skipped++; t.skipped < timedShare && now.Sub(t.last) < timedPause {
		return false
	}
	t.last, t.skipped = now, 0
	return true
}
