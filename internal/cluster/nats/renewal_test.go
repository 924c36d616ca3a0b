package nats

import (
	"testing"
	"time"

	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// While JetStream does not take what is written, it is written again until the lease is lost: who
// opened the bucket again meanwhile would not notice that JetStream takes it.
func TestRenewalsGoOn(t *testing.T) {
	srv := startExternal(t, nil)
	b, _ := startNode(t, Options{Node: "a", URL: srv.ClientURL(), LeaseTTL: 10 * time.Second}, clustertest.NewRecorder(""))
	t.Cleanup(b.Close)
	healthy(t, b)
	if f := claimNow(t, b, "x"); f.Failed() {
		t.Fatal(f)
	}
	c := b.channels
	c.mu.Lock()
	opened := c.bucket
	c.mu.Unlock()
	if err := srv.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := opened.keepLease(t.Context()); err == nil {
		t.Error("the lease is kept without JetStream")
	}
	if c.own.Lease() != "" {
		t.Error("nobody renews the lease any more, which is not over")
	}
}
