package coretest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Leftovers records which goroutines run. The function that it returns waits until all
// goroutines started since then have ended, and fails the test if they do not. Both are
// called by the test's goroutine, and no other test may run at the same time.
//
// Goroutines of idle connections of HTTP clients belong to the test and do not count.
// Goroutines with a function that ignored names do not count either: the broker keeps some
// for later, such as the loops that it starts with their first connection.
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
