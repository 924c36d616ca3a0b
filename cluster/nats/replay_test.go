package nats

import (
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// A lease that is renewed while the log is read comes later than its channels. It is waited
// for: its channels were not free meanwhile.
func TestReplayWaitsForLeases(t *testing.T) {
	stub := new(engineStub)
	b, err := New(checkOptions(Options{URL: "nats://localhost:1"}))
	if err != nil {
		t.Fatal(err)
	}
	c := b.channels
	c.start(stub)
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
	if r := read(later, lease(9)); !r.done || !stub.has(&stub.owned, "x") {
		t.Error("the channel of a lease that has come is not known")
	}
	if r := read(later, event{rev: 9, key: "lease.l"}); !r.done || !stub.has(&stub.freed, "x") {
		t.Error("the channel of a lease that has ended is not free")
	}
	if r := read(time.Now().Add(-time.Second)); !r.done {
		t.Error("a missing lease is waited for for ever")
	}
	// This node's own lease is waited for as well.
	c.lease = lease0("own")
	if r := read(later, lease(9)); r.done {
		t.Error("the own lease is not waited for")
	}
	if r := read(later, lease(9), event{rev: 10, key: "lease.own", lease: &leaseRecord{Node: b.id}}); !r.done {
		t.Error("the own lease has come")
	}
}

func lease0(id string) lease { return lease{id: id, rev: 1, until: time.Now().Add(time.Hour)} }

// A claim that nobody waits for any more, and that is in the log nevertheless, is given back;
// so is one whose number is another claim's.
func TestUnknownClaimsAreGivenBack(t *testing.T) {
	b, err := New(checkOptions(Options{URL: "nats://localhost:1"}))
	if err != nil {
		t.Fatal(err)
	}
	c := b.channels
	c.start(new(engineStub))
	c.lease = lease0("own")
	c.read(event{rev: 1, key: "lease.own", lease: &leaseRecord{Node: b.id}})
	c.read(event{rev: 2, key: "c.x", channel: &claimRecord{Node: b.id, Lease: "own", Claim: 7}})
	granted := false
	c.pending[8] = &claim{Claim: core.Claim{Channel: "z"}, number: 8, done: make(chan core.Failure, 1), grant: func() core.Failure {
		granted = true
		return core.Failure{}
	}}
	c.read(event{rev: 3, key: "c.y", channel: &claimRecord{Node: b.id, Lease: "own", Claim: 8}})
	if granted || len(c.mine) > 0 {
		t.Error("a claim is granted that is another one")
	}
	if len(c.queue) != 2 || c.queue[0].channel != "x" || c.queue[0].rev != 2 || c.queue[1].channel != "y" {
		t.Errorf("the queue: %+v", c.queue)
	}
	// A claim of a lease of before is nobody's.
	c.read(event{rev: 4, key: "c.w", channel: &claimRecord{Node: b.id, Lease: "before", Claim: 9}})
	if len(c.queue) != 2 {
		t.Errorf("the queue: %+v", c.queue)
	}
}

// A claim waits for the lease of a dead node once, and as long as other claims are decided.
func TestPatience(t *testing.T) {
	b, err := New(checkOptions(Options{URL: "nats://localhost:1", LeaseTTL: 10 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	c, now, before := b.channels, time.Now(), time.Now().Add(-2*claimPatience)
	for _, test := range []struct {
		late, again bool
		progress    time.Time
		want        time.Duration
	}{
		{false, false, before, 0},
		{false, false, now, claimPatience},
		{false, true, now, claimPatience},
		{true, false, before, 10*time.Second - claimPatience + lateMargin},
		{true, true, now, 0},
	} {
		c.progress = test.progress
		if more, late := c.patience(&claim{late: test.late}, test.again); more != test.want || late != test.late {
			t.Errorf("%+v: %v, %v", test, more, late)
		}
	}
}
