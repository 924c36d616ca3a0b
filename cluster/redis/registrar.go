package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
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
	// A lease lasts leaseParts times as long as the pause between two renewals.
	leaseParts = 6
	// safetyParts is the part of its time by which a node holds its lease for lost before it
	// ends for the others.
	safetyParts = 10
	// guardPause is how often a node looks whether it still has its lease.
	guardPause = 50 * time.Millisecond
	// maxRetired bounds the leases that are ended when the cluster is back.
	maxRetired = 16
	// lookAgain is how often a claim that waits for others is tried again.
	lookAgain = 250 * time.Millisecond
	// standstill is after how long without an answer of the register a connection is made anew.
	standstill = 4 * time.Second
)

// guard gives the lease up when it could not be renewed. It runs also while there is no
// connection.
func (c *channels) guard(ctx context.Context) {
	ticker := time.NewTicker(guardPause)
	defer ticker.Stop()
	over := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.lease.id != "" && !time.Now().Before(c.lease.until)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if over() {
			c.tell.Lock()
			if over() {
				c.lose()
			}
			c.tell.Unlock()
		}
	}
}

// registrar asks the register on one connection.
type registrar struct {
	c       *channels
	reg     *register
	renewed time.Time // when the lease was renewed
	stale   bool      // everything has to be read
	back    bool      // the register may have gone back
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
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
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
				c.log.Warn("channels cannot be owned", slog.String("error", explain(err).Error()))
			}
			c.health.Set(roster.AboutChannels, fmt.Errorf("%w: %w", roster.ErrNoChannels, explain(err)))
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
	pause := max(time.Until(r.renewed.Add(r.c.ttl/leaseParts)), 0)
	r.c.mu.Lock()
	if len(r.c.queue) > 0 || !r.behind.IsZero() {
		pause = min(pause, lookAgain)
	}
	r.c.mu.Unlock()
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
	c.mu.Lock()
	closed, hasLease := c.closed, c.lease.id != ""
	c.mu.Unlock()
	if closed {
		return false, nil
	}
	if !hasLease || time.Since(r.renewed) >= c.ttl/leaseParts {
		return true, r.renew(ctx)
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
	v, refused, err := r.reg.read(ctx)
	if err != nil {
		return err
	}
	r.c.stats.Refused.Add(core.ReasonMalformed, refused)
	r.c.replay(v, r.back)
	r.stale, r.back, r.behind = false, false, time.Time{}
	return nil
}

// renew renews the lease, or gets one.
func (r *registrar) renew(ctx context.Context) error {
	c := r.c
	c.mu.Lock()
	l, retired := c.lease, c.retired
	isNew := l.id == ""
	if isNew {
		l.id = c.newLease()
	}
	c.mu.Unlock()
	asked := time.Now()
	var a answer
	var err error
	if !isNew {
		a, err = r.reg.renew(ctx, l.id, c.id, c.ttl)
		if err == nil && a.word == wordMissing {
			// The server has forgotten it: this node would have given it up before it ended.
			return r.restore(ctx, l.id)
		}
	} else {
		a, err = r.reg.begin(ctx, l.id, c.id, c.ttl, retired)
	}
	if err != nil {
		if isNew {
			c.retire(l.id) // it may be there nevertheless
		}
		return err
	}
	r.took(l.id, asked, isNew, len(retired))
	r.heardOf(a.rev)
	return nil
}

// retire notes a lease that may still be in the register.
func (c *channels) retire(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = append(c.retired, id)
	if len(c.retired) > maxRetired {
		c.retired = c.retired[1:]
	}
}

// took notes that the lease lasts, counted from when it was asked for.
func (r *registrar) took(id string, asked time.Time, isNew bool, ended int) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	r.renewed = asked
	if isNew {
		c.retired = c.retired[min(ended, len(c.retired)):]
	} else if c.lease.id != id {
		return // it was given up meanwhile
	}
	c.lease = lease{id: id, until: asked.Add(c.ttl - c.ttl/safetyParts)}
	c.notify()
}

// heardOf notes a revision that the register has.
func (r *registrar) heardOf(rev uint64) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if rev < c.newest {
		r.wentBack()
	}
	c.newest = rev
}

// wentBack notes that the register has forgotten something. It is called with channels.mu held.
func (r *registrar) wentBack() {
	r.stale, r.back = true, true
	r.c.seen, r.c.newest = 0, 0
}

// restore begins the lease again that the server has forgotten, and claims again what this node
// has. Somebody else may have got some of it, if the server did not notice that it forgot: that
// is lost.
func (r *registrar) restore(ctx context.Context, id string) error {
	c := r.c
	asked := time.Now()
	if _, err := r.reg.begin(ctx, id, c.id, c.ttl, nil); err != nil {
		return err
	}
	r.took(id, asked, false, 0)
	c.mu.Lock()
	mine := inOrder(c.mine)
	valid := c.lease.id == id
	c.mu.Unlock()
	if !valid {
		c.retire(id)
		return nil
	}
	c.log.Warn("Redis has forgotten the lease of this node: its channels are registered again", slog.Int("channels", len(mine)))
	for _, e := range mine {
		if _, err := r.reg.claim(ctx, e, true); err != nil {
			return err
		}
	}
	c.mu.Lock()
	r.wentBack()
	c.mu.Unlock()
	return nil
}

// work asks for the first claim or release that waits. more is false if there is none.
func (r *registrar) work(ctx context.Context) (more bool, err error) {
	c := r.c
	c.mu.Lock()
	if !c.live || !time.Now().Before(c.lease.until) || len(c.queue) == 0 {
		c.mu.Unlock()
		return false, nil
	}
	t := c.queue[0]
	c.queue = c.queue[1:]
	e := t.release
	if t.claim != nil {
		if t.claim.decided {
			c.mu.Unlock()
			return true, nil
		}
		cl := t.claim
		e = &entry{channel: cl.Channel, lease: c.lease.id, node: c.id, claim: cl.number, services: cl.Services}
		c.pending[cl.number] = cl
	}
	c.mu.Unlock()
	if t.claim == nil {
		a, err := r.reg.free(ctx, e)
		if err != nil {
			// Whether it is released is not known. Asking again does no harm.
			c.mu.Lock()
			c.back(t)
			c.mu.Unlock()
			return false, err
		}
		r.heardOf(a.rev)
		c.mu.Lock()
		c.notify()
		c.mu.Unlock()
		return true, nil
	}
	a, err := r.reg.claim(ctx, e, false)
	if err != nil {
		// It may be there: then it is read, or else asked again.
		r.stale = true
		if refusedByServer(err) && !lostServer(err) {
			c.mu.Lock()
			c.decide(t.claim, core.Failure{Code: core.Unreachable, Text: explain(err).Error()})
			c.mu.Unlock()
		}
		return false, err
	}
	return r.judged(t, &a), nil
}

// judged handles the register's answer to a claim.
func (r *registrar) judged(t *task, a *answer) (more bool) {
	c := r.c
	r.heardOf(a.rev)
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := t.claim
	switch a.word {
	case wordOK:
		return true // it is given when it is read
	case wordLease:
		r.renewed = time.Time{}
		c.back(t)
		return true
	case wordGrace:
		cl.late = true
		c.back(t)
		return c.rotate()
	}
	holder := core.NodeID("")
	if len(a.rest) > 0 {
		holder = core.NodeID(a.rest[0])
	}
	if holder != c.id && !c.reached(holder) && holder != "" {
		cl.late = true
		c.back(t)
		return c.rotate()
	}
	c.decide(cl, refusal(a.word, holder))
	return true
}

// back puts a task at the beginning of the queue. It is called with mu held.
func (c *channels) back(t *task) {
	if t.claim != nil {
		delete(c.pending, t.claim.number)
		if t.claim.decided {
			return
		}
	} else if t.release.lease != c.lease.id {
		return
	}
	c.queue = append([]*task{t}, c.queue...)
}

// rotate lets others go before a claim that has to wait. It reports whether there are others
// that do not wait. It is called with mu held.
func (c *channels) rotate() (others bool) {
	if len(c.queue) > 1 {
		c.queue = append(c.queue[1:], c.queue[0])
	}
	for _, t := range c.queue {
		if t.claim == nil || !t.claim.late {
			return true
		}
	}
	return false
}

// leave ends the lease, and with it all channels of this node.
func (c *channels) leave() {
	c.mu.Lock()
	c.closed = true
	reg, id := c.reg, c.lease.id
	gone := core.Failure{Code: core.Unreachable, Text: "this node is leaving the cluster"}
	for _, t := range c.queue {
		if t.claim != nil {
			c.decide(t.claim, gone)
		}
	}
	for _, cl := range c.pending {
		c.decide(cl, gone)
	}
	c.queue = nil
	c.notify()
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
