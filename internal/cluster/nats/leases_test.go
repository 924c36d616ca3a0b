package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// joinFor starts a node whose lease lasts for a while, and waits until it is well.
func joinFor(t testing.TB, srv *server.Server, name string, lease time.Duration) (*Backplane, *clustertest.Recorder) {
	t.Helper()
	s := clustertest.NewRecorder("")
	b, _ := startNode(t, Options{Node: name, URL: srv.ClientURL(), LeaseTTL: lease}, s)
	healthy(t, b)
	return b, s
}

// Who leaves says so, and ends its lease: nobody waits until it is over.
func TestGoodbye(t *testing.T) {
	srv := startExternal(t, nil)
	a, _ := joinFor(t, srv, "a", time.Hour)
	b, stub := joinFor(t, srv, "b", time.Hour)
	defer b.Close()
	sub, err := dial(t, srv).SubscribeSync("pw.nodes")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if f := claimNow(t, a, "x"); f.Failed() {
		t.Fatal(f)
	}
	coretest.Eventually(t, "b knows the channel", func() bool { return stub.Knows("x") })
	coretest.Eventually(t, "a says hello to the program", func() bool {
		m, err := sub.NextMsg(time.Second)
		return err == nil && len(m.Data) > 0
	})
	a.Close()
	for said := false; !said; {
		m, err := sub.NextMsg(coretest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		var n struct {
			Type string      `json:"type"`
			Node core.NodeID `json:"node"`
		}
		if err := json.Unmarshal(m.Data, &n); err != nil {
			t.Fatal(err)
		}
		said = n.Type == "bye" && n.Node == a.ID()
	}
	coretest.Eventually(t, "b gets the channel", func() bool { return !claimNow(t, b, "x").Failed() })
}

// A goodbye ends a node at once, however often it has said hello.
func TestBye(t *testing.T) {
	srv := startExternal(t, nil)
	_, stub, _ := join(t, srv, "a")
	b, _, _ := join(t, srv, "b")
	nc := dial(t, srv)
	gone := func() int {
		return stub.Departures()
	}
	for range 3 {
		before := gone()
		coretest.Eventually(t, "the node is gone", func() bool {
			_ = nc.Publish("pw.nodes", fmt.Appendf(nil, `{"type":"bye","node":%q}`, b.ID()))
			_ = nc.Flush()
			return gone() > before
		})
	}
}

// A lease that its node has given up is ended before the node claims again: the others need not
// wait until it is over.
func TestLostLeaseIsEnded(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, nil)
	a, stubA := joinFor(t, srv, "a", 30*time.Second)
	defer a.Close()
	b, stubB := joinFor(t, srv, "b", 30*time.Second)
	defer b.Close()
	if f := claimNow(t, a, "x"); f.Failed() {
		t.Fatal(f)
	}
	coretest.Eventually(t, "b knows the channel", func() bool { return stubB.Knows("x") })
	old := a.channels.own.Lease()
	a.channels.tell.Lock()
	a.channels.own.Lose()
	a.channels.tell.Unlock()
	if !stubA.HasLost("x") || a.o.Stats.Lost.Load() != 1 {
		t.Error("the channel is not lost")
	}
	coretest.Eventually(t, "b is told", func() bool { return stubB.IsFree("x") })
	if f := claimNow(t, b, "x/y"); f.Failed() {
		t.Error(f)
	}
	coretest.Eventually(t, "a claims again", func() bool { return !claimNow(t, a, "z").Failed() })
	if a.channels.own.Lease() == old {
		t.Error("a has its old lease again")
	}
}

// What the dead have owned does not stay in the bucket.
func TestSweep(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, nil)
	a, _ := joinFor(t, srv, "a", minLease)
	b, stub := joinFor(t, srv, "b", minLease)
	defer b.Close()
	for i := range 10 {
		coretest.Eventually(t, "a owns a channel", func() bool { return !claimNow(t, a, fmt.Sprint("x/", i)).Failed() })
	}
	coretest.Eventually(t, "b knows the channels", func() bool { return stub.Knows("x/9") })
	a.abandon()
	js, err := jetstream.New(dial(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "pw_channels")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		coretest.Eventually(t, "the key is removed", func() bool {
			_, err := kv.Get(t.Context(), channelKey(fmt.Sprint("x/", i)))
			return errors.Is(err, jetstream.ErrKeyNotFound)
		})
	}
}

// Of claims that wait for the lease of a dead node, one gets the channel; a claim whose caller
// does not wait any more gets nothing.
func TestClaimsWait(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, nil)
	b, stub := joinFor(t, srv, "b", testLease)
	defer b.Close()
	// On a busy machine the lease may be over when the claim is made, which then succeeds at once: so again, with another channel.
	var channel string
	for n, deadline := 0, coretest.Deadline(); ; n++ {
		a, _ := joinFor(t, srv, fmt.Sprint("a", n), testLease)
		channel = fmt.Sprint("x", n)
		if f := claimNow(t, a, channel); f.Failed() {
			t.Fatal(f)
		}
		coretest.Eventually(t, "b knows the channel", func() bool { return stub.Knows(channel) })
		a.abandon()
		coretest.Eventually(t, "a is gone", func() bool { return b.o.Stats.Nodes.Load() == 0 })
		ctx, cancel := context.WithCancel(t.Context())
		impatient := make(chan core.Failure, 1)
		go func() { impatient <- b.Claim(ctx, core.Claim{Channel: channel}, nil) }()
		coretest.Eventually(t, "the claim waits, or is done", func() bool {
			waits, _ := b.channels.own.Queued()
			return waits || len(impatient) > 0
		})
		cancel()
		f := coretest.Receive(t, "the claim ends", impatient)
		if f.Code == core.Unreachable {
			break
		}
		if f.Failed() || time.Now().After(deadline) {
			t.Fatalf("a claim that is not waited for: %v", f)
		}
	}
	outcomes := make(chan core.Failure)
	for range 2 {
		go func() { outcomes <- claimNow(t, b, channel) }()
	}
	one, two := coretest.Receive(t, "a claim ends", outcomes), coretest.Receive(t, "a claim ends", outcomes)
	if one.Failed() == two.Failed() || one.Code+two.Code != core.Taken {
		t.Errorf("the claims end with %v and %v", one, two)
	}
}
