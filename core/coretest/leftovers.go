package coretest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Leftovers takes down which goroutines there are. What it returns waits until those that
// have begun since then have ended, and fails the test if they do not. Both are called by
// the goroutine of a test beside which no other runs.
//
// Those of connections that HTTP clients keep for later are the test's own affair and do not
// count, and neither do those that ignored names by a function of theirs: what the
// broker keeps for later, such as the loops that it makes for their first connection.
func Leftovers(t testing.TB, ignored ...string) (none func()) {
	t.Helper()
	options := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	}
	for _, function := range ignored {
		options = append(options, goleak.IgnoreAnyFunction(function))
	}
	return func() {
		t.Helper()
		for deadline := Deadline(); ; time.Sleep(10 * time.Millisecond) {
			err := goleak.Find(options...)
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
}
