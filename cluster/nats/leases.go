package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

const (
	// A lease lasts leaseParts times as long as the pause between two renewals.
	leaseParts = 6
	// safetyParts is the part of its time by which a node holds its lease for lost before it
	// ends for the others.
	safetyParts = 10
	// renewWait bounds one renewal.
	renewWait = 2 * time.Second
	// reopen is after how long without a renewal the bucket is opened again, if there is no lease
	// that could be renewed.
	reopen = 4 * time.Second
	// guardPause is how often a node looks whether it still has its lease.
	guardPause = 50 * time.Millisecond
	// maxRetired bounds the leases that are ended when the cluster is back.
	maxRetired = 16
	// sweep is how many channels of ended leases are removed at a time.
	sweep = 200
)

// guard gives the lease up when it could not be renewed. It runs also while there is no
// connection.
func (c *channels) guard(ctx context.Context) {
	ticker := time.NewTicker(guardPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		over := c.lease.id != "" && !time.Now().Before(c.lease.until)
		c.mu.Unlock()
		if over {
			c.tell.Lock()
			c.mu.Lock()
			over = c.lease.id != "" && !time.Now().Before(c.lease.until)
			c.mu.Unlock()
			if over {
				c.lose()
			}
			c.tell.Unlock()
		}
	}
}

// keepLease renews the lease until ctx ends.
func (b *bucket) keepLease(ctx context.Context) error {
	b.c.mu.Lock()
	every := b.c.leaseTime() / leaseParts
	b.c.mu.Unlock()
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
			} else if time.Since(failed) > reopen && !b.c.hasLease() {
				return err
			}
			pause = min(every, lookAgain)
		}
		roster.Sleep(ctx, pause)
	}
}

func (c *channels) hasLease() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease.id != ""
}

// renew renews the lease, or gets one.
func (b *bucket) renew(ctx context.Context) error {
	b.renewing.Lock()
	defer b.renewing.Unlock()
	c := b.c
	c.mu.Lock()
	l, ttl := c.lease, c.leaseTime()
	retired := c.retired
	isNew := l.id == ""
	if isNew {
		if c.coming == "" {
			c.counter++
			c.coming = string(c.id) + "-" + strconv.FormatUint(c.counter, 10)
		}
		l.id = c.coming
	}
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil
	}
	if isNew {
		// What was lost for this node is free for the others, before this node claims again.
		for _, id := range retired {
			if _, err := b.remove(ctx, leaseKeys+id); err != nil {
				return fmt.Errorf("ending a lease: %w", err)
			}
		}
	}
	value, err := json.Marshal(leaseRecord{Node: c.id, Name: c.name})
	if err != nil {
		return err
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, renewWait)
	defer cancel()
	rev, err := b.put(ctx, leaseKeys+l.id, value, jetstream.WithExpectLastSequencePerSubject(l.rev), jetstream.WithMsgTTL(ttl))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if isNew && isStale(err) {
			// It is there already, since an attempt that seemed to fail.
			c.retire(l.id)
			c.coming = ""
		}
		return fmt.Errorf("renewing the lease: %w", err)
	}
	if isNew {
		c.retired, c.coming = c.retired[min(len(retired), len(c.retired)):], ""
	} else if c.lease.id != l.id {
		return nil // it was given up meanwhile
	}
	c.lease = lease{id: l.id, rev: rev, until: asked.Add(ttl - ttl/safetyParts)}
	c.written(rev)
	return nil
}

// retire notes a lease that is to be ended. It is called with mu held.
func (c *channels) retire(id string) {
	if c.retired = append(c.retired, id); len(c.retired) > maxRetired {
		c.retired = c.retired[1:] // it has ended by itself long since
	}
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
		rev, err := b.remove(ctx, channelKey(e.channel), jetstream.WithExpectLastSequence(pos))
		if err != nil {
			return
		}
		pos = rev
	}
}

// leave ends the lease, and with it all channels of this node.
func (c *channels) leave() {
	c.mu.Lock()
	c.closed = true
	b, id := c.bucket, c.lease.id
	for _, t := range c.queue {
		if t.claim != nil {
			c.decide(t.claim, core.Failure{Code: core.Unreachable, Text: "this node is leaving the cluster"})
		}
	}
	for _, cl := range c.pending {
		c.decide(cl, core.Failure{Code: core.Unreachable, Text: "this node is leaving the cluster"})
	}
	c.queue = nil
	c.notify()
	c.mu.Unlock()
	if b == nil || id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	_, _ = b.remove(ctx, leaseKeys+id) // if it cannot be reached, the lease ends by itself
}
