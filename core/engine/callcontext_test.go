package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

// What a handler derives from its context ends with the call, whether it asked before or
// after the end.
func TestCallContextEndsWithTheCall(t *testing.T) {
	type key struct{}
	var c callContext
	if err := c.Err(); err != nil || c.whole != nil {
		t.Fatalf("a context that nobody has asked for anything: %v, %v", err, c.whole)
	}
	none := coretest.Leftovers(t)
	derived, cancel := context.WithTimeout(context.WithValue(&c, key{}, 1), time.Hour)
	defer cancel()
	stopped := make(chan struct{})
	context.AfterFunc(&c, func() { close(stopped) })
	none() // waits for the end of the context
	if err := errors.Join(c.Err(), derived.Err()); err != nil {
		t.Fatalf("before the end: %v", err)
	}
	c.end()
	c.end()
	<-derived.Done()
	<-stopped
	for name, err := range map[string]error{
		"itself": c.Err(), "derived": derived.Err(), "its cause": context.Cause(&c), "derived late": func() error {
			late, cancel := context.WithCancel(&c)
			defer cancel()
			return late.Err()
		}(),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
}

// Who asks nothing until the call has ended learns that it has.
func TestCallContextAskedLate(t *testing.T) {
	var c callContext
	c.end()
	if err := c.Err(); !errors.Is(err, context.Canceled) || c.whole != nil {
		t.Errorf("Err is %v", err)
	}
	<-c.Done()
	if err := c.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("after Done: Err is %v", err)
	}
	if _, limited := c.Deadline(); limited {
		t.Error("there is a deadline")
	}
}

// A one-way call ends by its time, and with the engine.
func TestCallContextLimits(t *testing.T) {
	engine, stop := context.WithCancel(t.Context())
	var short, long callContext
	short.limit(engine, time.Nanosecond)
	long.limit(engine, time.Hour)
	<-short.Done()
	if err := short.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
	if _, limited := long.Deadline(); !limited || long.Err() != nil {
		t.Errorf("in time: limited %v, %v", limited, long.Err())
	}
	stop()
	<-long.Done()
	if err := long.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("with the engine: %v", err)
	}
	short.end()
	long.end()
}
