package coretest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen before it says that it does
// not. It is no measure of anything: nothing that works takes as long, on however busy
// a machine.
const Patience = 3 * time.Minute

// Deadline is the end of a test's patience, for what it begins now.
func Deadline() time.Time { return time.Now().Add(Patience) }

// Eventually waits until happened; what says what is awaited. It is called by the
// goroutine of the test.
func Eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	pause := time.Millisecond
	for deadline := Deadline(); !happened(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		// Who waits long takes no time from those that it waits for.
		pause = min(pause+pause/4, 50*time.Millisecond)
	}
}

// Receive waits for what comes out of a channel; what says what that is. It is called
// by the goroutine of the test.
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
