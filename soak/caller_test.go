package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core/coretest"
)

const (
	// window is how many calls of one connection are in flight at once.
	window = 64
	// patience is how long a caller waits for the end of its last calls, which the
	// broker ends after callTimeout.
	patience = coretest.Patience
)

// tally counts how the calls of all callers ended. Atomic.
type tally struct {
	left      atomic.Int64 // to be made
	ended     atomic.Int64 // with an outcome
	abandoned atomic.Int64 // by a caller that left
}

// caller calls until no call is left, and leaves and comes back in between.
type caller struct {
	url      string
	dialect  dialect
	services []string
	tally    *tally

	number  int             // of the next ref
	waiting map[string]bool // calls in flight that have a name
	unnamed int             // calls that have none yet
}

func (c *caller) run(ctx context.Context) error {
	for c.tally.left.Load() > 0 {
		if err := c.visit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// visit is one connection: it ends in the middle of its calls, or, when no calls are left, after
// all of its own have ended.
func (c *caller) visit(ctx context.Context) error {
	conn, err := dial(ctx, ws.DefaultDialer, c.url, c.dialect)
	if err != nil {
		return fmt.Errorf("dialling: %w", err)
	}
	defer conn.leave()
	c.waiting, c.unnamed = make(map[string]bool), 0
	for stay := 1 + rand.IntN(2000); stay > 0; stay-- {
		if err := c.fill(conn); err != nil {
			return err
		}
		if c.size() == 0 {
			return nil
		}
		if err := c.listen(conn); err != nil {
			return err
		}
	}
	c.tally.abandoned.Add(int64(c.size()))
	return nil
}

func (c *caller) size() int { return len(c.waiting) + c.unnamed }

// fill tops up the calls in flight to window, in one write, once at most half of them are left.
func (c *caller) fill(conn *client) error {
	var calls []string
	for c.size() < window && (len(calls) > 0 || c.size() <= window/2) && c.tally.left.Add(-1) >= 0 {
		c.number++
		ref := fmt.Sprintf("%08d", c.number)
		if c.dialect.named() {
			c.waiting[ref] = true
		} else {
			c.unnamed++
		}
		calls = append(calls, c.dialect.call(ref, c.services[rand.IntN(len(c.services))], "q"))
	}
	if len(calls) == 0 {
		return nil
	}
	return conn.say(calls...)
}

// errTwice is the error for the end of a call that was not in flight.
var errTwice = errors.New("a call ended that had ended, or was never made")

// listen reads one message.
func (c *caller) listen(conn *client) error {
	_ = conn.conn.SetReadDeadline(time.Now().Add(patience))
	message, err := conn.hear()
	if err != nil {
		return fmt.Errorf("waiting for the end of %d calls: %w", c.size(), err)
	}
	key, what := c.dialect.hears(message)
	switch what {
	case nothing:
		return nil
	case taken:
		c.unnamed--
		c.waiting[key] = true
		return nil
	case refused:
		c.unnamed--
	case ended:
		if !c.waiting[key] {
			return fmt.Errorf("%w: %q", errTwice, message)
		}
		delete(c.waiting, key)
	}
	c.tally.ended.Add(1)
	return nil
}
