package core

import (
	"testing"
	"time"
)

// A peak is told until a minute has passed in which it was not reached again, to everybody who asks.
func TestLevelPeak(t *testing.T) {
	var l Level
	now := time.Unix(1_700_000_000, 0)
	wants := func(what string, want int64) {
		t.Helper()
		if got := l.Peak(now); got != want {
			t.Errorf("%s: the peak is %d, want %d", what, got, want)
		}
	}
	l.Add(7)
	l.Add(-5)
	wants("at first", 7)
	wants("for somebody else", 7)
	now = now.Add(59 * time.Second)
	l.Saw(4)
	wants("within the minute", 7)
	now = now.Add(time.Second)
	wants("after the minute", 7)
	now = now.Add(time.Second)
	wants("in the next one", 4)
	now = now.Add(time.Minute)
	wants("in the one after it", 4)
	now = now.Add(time.Minute)
	wants("at the end", 2)
	if l.Now() != 2 {
		t.Errorf("the level is %d", l.Now())
	}
}
