package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// renewWait bounds one renewal.
	renewWait = 2 * time.Second
	// reopen is after how long without a renewal the bucket is opened again, if there is no lease
	// that could be renewed.
	reopen = 4 * time.Second
	// sweep is how many channels of ended leases are removed at a time.
	sweep = 200
)

// keepLease renews the lease until ctx ends.
func (b *bucket) keepLease(ctx context.Context) error {
	every := b.c.LeaseTime() / claims.RenewParts
	for failed := (time.Time{}); ; {
		pause := every
		err := b.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			failed = time.Time{}
			b.c.trouble(nil)
			b.sweep(ctx)
		default:
			// JetStream elects a leader for some seconds after one has died. But the bucket may
			// also be gone. While it is opened nothing is renewed, and that may take as long as the
			// lease has left: another leader has to be elected for it, of JetStream itself.
			if failed.IsZero() {
				failed = time.Now()
			} else if time.Since(failed) > reopen && b.c.own.Lease() == "" {
				b.c.trouble(err)
				return err
			}
			pause = min(every, lookAgain)
		}
		roster.Sleep(ctx, pause)
	}
}

// renew renews the lease, or gets one.
func (b *bucket) renew(ctx context.Context) error {
	b.renewing.Lock()
	defer b.renewing.Unlock()
	c := b.c
	r, ok := c.own.Renewal()
	if !ok {
		return nil
	}
	for _, id := range r.Ended {
		if _, err := b.remove(ctx, leaseKeys+id); err != nil {
			return fmt.Errorf("ending a lease: %w", err)
		}
	}
	value, err := json.Marshal(leaseRecord{Node: c.id, Name: c.name})
	if err != nil {
		return err
	}
	ttl := c.LeaseTime()
	c.mu.Lock()
	before := uint64(0)
	if c.lease.id == r.Lease {
		before = c.lease.rev
	}
	c.mu.Unlock()
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, renewWait)
	defer cancel()
	rev, err := b.put(ctx, leaseKeys+r.Lease, value, jetstream.WithExpectLastSequencePerSubject(before), jetstream.WithMsgTTL(ttl))
	if err != nil {
		if r.New && isStale(err) {
			c.own.Retire(r.Lease) // it is there already, since an attempt that seemed to fail
		}
		return fmt.Errorf("renewing the lease: %w", err)
	}
	c.mu.Lock()
	c.lease = leaseAt{r.Lease, rev}
	c.acked = max(c.acked, rev)
	c.mu.Unlock()
	c.own.Renewed(r, asked, ttl)
	return nil
}

// sweep removes channels whose leases have ended. One node does it for all.
func (b *bucket) sweep(ctx context.Context) {
	c := b.c
	c.mu.Lock()
	if !c.ready() {
		c.mu.Unlock()
		return
	}
	for _, node := range c.view.leases {
		if node < c.id {
			c.mu.Unlock()
			return
		}
	}
	dead, pos := c.view.dead(sweep), c.view.pos
	c.mu.Unlock()
	for _, e := range dead {
		// Only if nothing has been written since: then it is certain that the lease is not there.
		rev, err := b.remove(ctx, channelKey(e.Channel), jetstream.WithExpectLastSequence(pos))
		if err != nil {
			return
		}
		pos = rev
	}
}

// leave ends the lease, and with it all channels of this node.
func (c *channels) leave() {
	id := c.own.Leave()
	c.mu.Lock()
	b := c.bucket
	c.mu.Unlock()
	if b == nil || id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	_, _ = b.remove(ctx, leaseKeys+id) // if it cannot be reached, the lease ends by itself
}
