package coretest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for an event before it fails. It is not a measure of
// performance: nothing that works takes that long, however busy the machine is.
const Patience = 3 * time.Minute

// Deadline returns the deadline of something that a test begins now.
func Deadline() time.Time { return time.Now().Add(Patience) }

// Eventually waits until happened returns true; what describes it. It is called by the
// goroutine of the test.
func Eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	pause := time.Millisecond
	for deadline := Deadline(); !happened(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		// A long wait polls less often, to leave processor time to what it waits for.
		pause = min(pause+pause/4, 50*time.Millisecond)
	}
}

// Receive waits for a value from a channel; what describes it. It is called by the
// goroutine of the test.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}
