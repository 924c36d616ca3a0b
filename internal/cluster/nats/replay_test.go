package nats

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// A lease that is renewed while the log is read comes later than its channels. It is waited
// for: its channels were not free meanwhile.
func TestReplayWaitsForLeases(t *testing.T) {
	stub := clustertest.NewRecorder("")
	b, err := New(checkOptions(Options{URL: "nats://localhost:1"}))
	if err != nil {
		t.Fatal(err)
	}
	c := b.channels
	c.own.Start(stub)
	claim := event{rev: 5, key: "c.x", channel: &claimRecord{Node: "n-b-1", Lease: "l"}}
	lease := func(rev uint64) event { return event{rev: rev, key: "lease.l", lease: &leaseRecord{Node: "n-b-1"}} }

	read := func(until time.Time, events ...event) *replay {
		r := &replay{c: c, view: newView(), ended: make(map[string]bool)}
		r.apply(claim)
		r.until = until
		r.finish()
		for _, e := range events {
			r.apply(e)
		}
		return r
	}
	later := time.Now().Add(time.Hour)
	if r := read(later); r.done {
		t.Error("a missing lease is not waited for")
	}
	if r := read(later, lease(9)); !r.done || !stub.Knows("x") {
		t.Error("the channel of a lease that has come is not known")
	}
	if r := read(later, event{rev: 9, key: "lease.l"}); !r.done || !stub.IsFree("x") {
		t.Error("the channel of a lease that has ended is not free")
	}
	if r := read(time.Now().Add(-time.Second)); !r.done {
		t.Error("a missing lease is waited for for ever")
	}
	// This node's own lease is waited for as well.
	own := leased(t, c)
	if r := read(later, lease(9)); r.done {
		t.Error("the own lease is not waited for")
	}
	if r := read(later, lease(9), event{rev: 10, key: leaseKeys + own, lease: &leaseRecord{Node: b.id}}); !r.done {
		t.Error("the own lease has come")
	}
}

// leased gives a node a lease without a log.
func leased(t *testing.T, c *channels) (lease string) {
	t.Helper()
	r, ok := c.own.Renewal()
	if !ok || !c.own.Renewed(r, time.Now(), time.Hour) {
		t.Fatal("no lease")
	}
	return r.Lease
}

// endless is a watcher that goes on after Stop, as one does whose consumer is just being made anew.
type endless struct{ updates chan jetstream.KeyValueEntry }

func (w endless) Updates() <-chan jetstream.KeyValueEntry { return w.updates }
func (endless) Stop() error                               { return nil }
func (endless) Error() <-chan error                       { return nil }

// Who was cut off does not wait for the end of what it has watched before it connects again. Broken
// version: the log is drained before watch returns.
func TestNobodyWaitsForTheWatcher(t *testing.T) {
	b, err := New(checkOptions(Options{URL: "nats://localhost:1"}))
	if err != nil {
		t.Fatal(err)
	}
	w := endless{make(chan jetstream.KeyValueEntry)}
	defer close(w.updates)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- (&bucket{c: b.channels}).watch(ctx, w) }()
	if err := coretest.Receive(t, "the end of the watch", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	w.updates <- nil // what still comes is taken
}
