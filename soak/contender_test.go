package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core/coretest"
)

const (
	// tenureWords is how many messages an owner publishes at most, at most one each wordPause. The
	// channel named longOwned is owned for half a minute and more: longer than a lease.
	tenureWords, wordPause            = 20, 10 * time.Millisecond
	longOwnedMessages, longOwnedPause = 1200, 100 * time.Millisecond
	longOwned                         = "longowned"
	// retryPause is how long a contender waits at most until it tries again.
	retryPause = 150 * time.Millisecond
)

// contender tries to own contested channels, publishes there while it does, and leaves.
type contender struct {
	ledger   *ledger
	name     string
	node     int
	url      string
	by       ws.Dialer
	channels []string
	attempts int
}

func (c *contender) run(ctx context.Context) {
	for ctx.Err() == nil {
		since := c.ledger.tick()
		if err := c.visit(ctx, c.channels[rand.IntN(len(c.channels))]); err != nil && ctx.Err() == nil {
			if !errors.Is(err, context.DeadlineExceeded) || c.ledger.quiet() {
				c.ledger.cut(c.name, c.node, since, err)
			}
		}
		pause(ctx, rand.N(retryPause))
	}
}

// visit is one connection, which ends when it has owned the channel.
func (c *contender) visit(ctx context.Context, channel string) error {
	limited, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := dial(limited, c.by, c.url, wubsub{})
	if err != nil {
		return err
	}
	defer conn.leave()
	defer context.AfterFunc(ctx, func() { _ = conn.conn.SetReadDeadline(time.Unix(1, 0)) })()
	if err := conn.say(conn.subscribe(topicOf(channel))); err != nil {
		return err
	}
	for ctx.Err() == nil {
		c.attempts++
		c.ledger.tries(c.name, "tries %s", channel)
		mark := fmt.Sprintf("%s.%d", c.name, c.attempts)
		why, err := c.attempt(conn, channel, 0, c.attempts, mark, conn.own(channel))
		if err != nil {
			return err
		}
		if why == "" {
			return c.publishAll(ctx, conn, channel, mark)
		}
		c.ledger.tries(c.name, "is refused %s: %s", channel, why)
		pause(ctx, rand.N(retryPause))
	}
	return nil
}

// attempt publishes a message, with something said before it, and returns "" when it has come back,
// or else what the contender has read about it.
func (c *contender) attempt(conn *client, channel string, epoch, number int, mark string, before ...string) (why string, err error) {
	topic := topicOf(channel)
	if err := conn.say(append(before, conn.publish(topic, fmt.Sprintf("#o %s %d %d %s;", channel, epoch, number, mark)))...); err != nil {
		return "", err
	}
	_ = conn.conn.SetReadDeadline(time.Now().Add(coretest.Patience))
	for {
		message, err := conn.hear()
		if err != nil {
			return "", err
		}
		if w := words(message); len(w) == 5 && w[4] == mark {
			if n := numbers(w[2], w[3]); n[0] == epoch && n[1] == number {
				return "", nil
			}
		}
		if between(message, `"type":"`, `"`) == "error" {
			return string(message), nil
		}
	}
}

// publishAll publishes as the owner.
func (c *contender) publishAll(ctx context.Context, conn *client, channel, mark string) error {
	epoch := c.ledger.own(channel, mark, c.node)
	last, most := 1+rand.IntN(tenureWords), wordPause
	if channel == longOwned {
		last, most = longOwnedMessages/2+rand.IntN(longOwnedMessages/2), longOwnedPause
	}
	for n := 1; n <= last; n++ {
		c.ledger.tries(c.name, "publishes message %d of %d of epoch %d of %s", n, last, epoch, channel)
		sent := c.ledger.tick()
		why, err := c.attempt(conn, channel, epoch, n, mark)
		if err != nil {
			return err
		}
		if why != "" {
			c.ledger.lostChannel(epoch, why)
			return nil
		}
		c.ledger.accepted(epoch, sent)
		pause(ctx, rand.N(most))
	}
	// Messages of different publishers have no order. So that its successor's cannot overtake its
	// own, an owner that leaves waits until all have heard it.
	c.ledger.tries(c.name, "waits until all have heard message %d of epoch %d of %s", last, epoch, channel)
	for began := time.Now(); !c.ledger.everybodyHeard(epoch, last) && ctx.Err() == nil; pause(ctx, 5*time.Millisecond) {
		if time.Since(began) > coretest.Patience {
			c.ledger.report("not everybody has heard message %d of epoch %d of %s (node %s)", last, epoch, channel, letterOf(c.node))
			return nil
		}
	}
	return nil
}

// contested are channels that many want to own, and find others soon.
func contested(n int) (channels []string) {
	for i := range n {
		channels = append(channels, "contested"+strings.Repeat("x", i))
	}
	return channels
}
