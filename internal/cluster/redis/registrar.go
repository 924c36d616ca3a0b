package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// The words of the register's answers.
const (
	wordOK      = "ok"
	wordMissing = "missing" // a lease or a claim is not there
	wordLease   = "lease"   // this node has no lease any more
	wordGrace   = "grace"   // the server has begun just now, and may have forgotten claims
	wordTaken   = "taken"
)

const (
	// lookAgain is how often a claim that waits for others is tried again.
	lookAgain = 250 * time.Millisecond
	// standstill is after how long without an answer of the register a connection is made anew.
	standstill = 4 * time.Second
)

// registrar asks the register on one connection.
type registrar struct {
	c       *channels
	reg     *register
	renewed time.Time // when the lease was renewed
	stale   bool      // everything has to be read
	behind  time.Time // since when events are expected
	failing time.Time // since when nothing was answered
}

// run asks the register until ctx ends, or until it has not answered for some time.
func (c *channels) run(ctx context.Context, reg *register) error {
	r := &registrar{c: c, reg: reg, stale: true}
	c.mu.Lock()
	c.reg, c.seen, c.newest = reg, 0, 0
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.live, c.reg = false, nil
		c.mu.Unlock()
	}()
	if err := reg.identify(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		changed := c.own.Changed()
		more, err := r.step(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if !r.failing.IsZero() {
				r.failing = time.Time{}
			}
			c.health.Set(roster.AboutChannels, nil)
		case lostServer(err):
			return err
		default:
			if r.failing.IsZero() {
				r.failing = time.Now()
				c.log.Warn("channels cannot be owned", slog.String("error", explain(asking, err).Error()))
			}
			c.health.Set(roster.AboutChannels, fmt.Errorf("%w: %w", roster.ErrNoChannels, explain(asking, err)))
			if time.Since(r.failing) > standstill && !refusedByServer(err) {
				return err
			}
			roster.Sleep(ctx, lookAgain)
			continue
		}
		if !more {
			r.rest(ctx, changed)
		}
	}
	return ctx.Err()
}

// lostServer reports whether an error says that this is not the server to ask any more.
func lostServer(err error) bool {
	text := err.Error()
	for _, word := range []string{"READONLY", "MOVED ", "CLUSTERDOWN", "MASTERDOWN"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// refusedByServer reports whether the server has answered with an error.
func refusedByServer(err error) bool {
	var e interface{ RedisError() }
	return errors.As(err, &e)
}

// rest waits until there is something to do.
func (r *registrar) rest(ctx context.Context, changed <-chan struct{}) {
	pause := max(time.Until(r.renewed.Add(r.c.ttl/claims.RenewParts)), 0)
	if tasks, _ := r.c.own.Queued(); tasks || !r.behind.IsZero() {
		pause = min(pause, lookAgain)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	}
}

// step does the next thing. more says that there may be another one.
func (r *registrar) step(ctx context.Context) (more bool, err error) {
	c := r.c
	renewal, ok := c.own.Renewal()
	if !ok {
		return false, nil
	}
	if renewal.New || time.Since(r.renewed) >= c.ttl/claims.RenewParts {
		return true, r.renew(ctx, renewal)
	}
	c.mu.Lock()
	r.look()
	c.mu.Unlock()
	if r.stale {
		return true, r.readAll(ctx)
	}
	return r.work(ctx)
}

// look finds out whether events are missing. It is called with channels.mu held.
func (r *registrar) look() {
	c := r.c
	switch {
	case !c.live || c.seen > c.view.rev:
		r.stale = true
	case c.newest <= c.view.rev:
		r.behind = time.Time{}
	case r.behind.IsZero():
		r.behind = time.Now() // they are on their way, on another connection
	case time.Since(r.behind) > lookAgain:
		r.stale = true
	}
}

func (r *registrar) readAll(ctx context.Context) error {
	known := r.c.known()
	v, refused, err := r.reg.read(ctx)
	if err != nil {
		return err
	}
	r.c.stats.Refused.Add(core.ReasonMalformed, refused)
	r.c.replay(v, known)
	r.stale, r.behind = false, time.Time{}
	return nil
}

// renew renews the lease, or gets one.
func (r *registrar) renew(ctx context.Context, l claims.Renewal) error {
	c := r.c
	asked := time.Now()
	var a answer
	var err error
	if l.New {
		a, err = r.reg.begin(ctx, l.Lease, c.id, c.ttl, l.Ended)
	} else {
		a, err = r.reg.renew(ctx, l.Lease, c.id, c.ttl)
		if err == nil && a.word == wordMissing {
			// The server has forgotten it: this node would have given it up before it ended.
			return r.restore(ctx, l)
		}
	}
	if err != nil {
		return err
	}
	r.renewed = asked
	c.own.Renewed(l, asked, c.ttl)
	r.heardOf(a.rev)
	return nil
}

// heardOf notes a revision that the register has.
func (r *registrar) heardOf(rev uint64) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	r.stale = r.stale || rev < c.newest // it has forgotten something
	c.newest = rev
}

// restore begins the lease again that the server has forgotten, and claims again what this node
// has. Somebody else may have got some of it, if the server did not notice that it forgot: that
// is lost.
func (r *registrar) restore(ctx context.Context, l claims.Renewal) error {
	c := r.c
	asked := time.Now()
	if _, err := r.reg.begin(ctx, l.Lease, c.id, c.ttl, nil); err != nil {
		return err
	}
	r.renewed = asked
	if !c.own.Renewed(l, asked, c.ttl) {
		c.own.Retire(l.Lease)
		return nil
	}
	c.forgot()
	mine := c.own.Mine()
	c.log.Warn("Redis has forgotten the lease of this node: its channels are registered again", slog.Int("channels", len(mine)))
	for _, e := range mine {
		if _, err := r.reg.claim(ctx, e, true); err != nil {
			return err
		}
	}
	r.stale = true
	return nil
}

// work asks for the first claim or release that waits. more is false if there is none.
func (r *registrar) work(ctx context.Context) (more bool, err error) {
	c := r.c
	t := c.own.Next(nil)
	if t == nil {
		return false, nil
	}
	if !t.Claims() {
		a, err := r.reg.free(ctx, t.Entry)
		if err != nil {
			// Whether it is released is not known. Asking again does no harm.
			c.own.Back(t)
			return false, err
		}
		r.heardOf(a.rev)
		c.own.Notify()
		return true, nil
	}
	a, err := r.reg.claim(ctx, t.Entry, false)
	if err != nil {
		// It may be there: then it is read, or else asked again.
		r.stale = true
		if refusedByServer(err) && !lostServer(err) {
			c.own.Refuse(t, core.Failure{Code: core.Unreachable, Text: explain(asking, err).Error()})
		}
		return false, err
	}
	r.heardOf(a.rev)
	switch a.word {
	case wordOK: // it is given when it is read
		return true, nil
	case wordLease:
		r.renewed = time.Time{}
		c.own.Back(t)
		return true, nil
	case wordGrace:
		return c.own.Late(t), nil
	}
	holder := core.NodeID("")
	if len(a.rest) > 0 {
		holder = core.NodeID(a.rest[0])
	}
	return c.own.Blocked(t, conflict(a.word, holder)), nil
}

// leave ends the lease, and with it all channels of this node.
func (c *channels) leave() {
	id := c.own.Leave()
	c.mu.Lock()
	reg := c.reg
	c.mu.Unlock()
	if reg == nil || id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	if _, err := reg.end(ctx, id, c.id); err != nil { // then it ends by itself
		c.log.Info("the lease of this node could not be ended", slog.String("error", fmt.Sprint(err)))
	}
}
