package nats

import (
	"testing"
	"time"

	"github.com/polywire/polywire/cluster/clustertest"
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
