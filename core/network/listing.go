package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

const (
	// listBatch is how many connections a loop describes in one turn at most, and listTime about how long it
	// looks for those that are wanted.
	listBatch = 128
	listTime  = turnTime / 8
	// listRest is how many times as long as a batch has taken the walk rests behind it, up to mostRest: so most
	// of a processor is left to the clients, however often somebody asks.
	listRest = 4
	mostRest = 5 * time.Millisecond
)

// List calls visit with each open connection that hears a topic, a whole one, or with all if it is empty, on the
// calling goroutine. Connections that come or leave meanwhile may be missing. The loops describe them in many
// short turns, between their work.
func (s *Server) List(ctx context.Context, topic string, visit func(core.ConnectionInfo)) error {
	return s.walk(ctx, func(c *conn) bool { return topic == "" || c.peer != nil && c.peer.Hears(topic) }, nil, func(batch []core.ConnectionInfo) bool {
		for _, one := range batch {
			visit(one)
		}
		return true
	})
}

// Find returns a connection, and what it has at the engine. The error is ErrNoConnection, or that of ctx.
func (s *Server) Find(ctx context.Context, id uint64) (found core.ConnectionInfo, h core.Holdings, err error) {
	has := make(chan core.Holdings, 1)
	found, err = s.one(ctx, id, func(c *conn) {
		var h core.Holdings
		if c.peer != nil {
			h = c.peer.Holdings()
		}
		has <- h
	})
	if err != nil {
		return found, h, err
	}
	return found, <-has, nil
}

// End ends a connection with its format's goodbye for a reason, after what is queued for it. The error is
// ErrNoConnection, or that of ctx.
func (s *Server) End(ctx context.Context, id uint64, r core.Reason) (ended core.ConnectionInfo, err error) {
	return s.one(ctx, id, func(c *conn) { c.sayGoodbye(r) })
}

// one calls f with the connection of a number, on its loop.
func (s *Server) one(ctx context.Context, id uint64, f func(*conn)) (found core.ConnectionInfo, err error) {
	is := false // there is no connection 0, and found has that number from the start
	err = s.walk(ctx, func(c *conn) bool { return c.id == id }, f, func(batch []core.ConnectionInfo) bool {
		found, is = batch[0], true
		return false
	})
	if err == nil && !is {
		err = core.ErrNoConnection
	}
	return found, err
}

// walk calls wanted on the loops with each open connection, and visit on the calling goroutine with those for
// which it is true, until visit returns false; the batch is valid until visit returns. If then is not nil it is called on
// the loops with these, after they were described.
func (s *Server) walk(ctx context.Context, wanted func(*conn) bool, then func(*conn), visit func(batch []core.ConnectionInfo) bool) error {
	rest, err := s.connections(ctx, func(*conn) bool { return true })
	var batch []core.ConnectionInfo
	for len(rest) > 0 && err == nil {
		began := time.Now()
		of, into := rest, batch[:0] // the loop may look at them when nobody waits any more
		var some described
		if some, err = askLoop(ctx, of[0].loop, func() described { return describe(of, into, wanted, then) }); err != nil {
			break
		}
		if len(some.listed) > 0 && !visit(some.listed) {
			return nil
		}
		batch, rest = some.listed, some.rest
		if len(rest) > 0 {
			err = pause(ctx, min(listRest*time.Since(began), mostRest))
		}
	}
	return err
}

// pause waits, or returns the error of ctx if that ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("listing connections: %w", err)
	}
	return nil
}

// described is what a loop says of some connections.
type described struct {
	listed []core.ConnectionInfo
	rest   []*conn // those that were not looked at
}

// describe appends to into, which is empty, those of the first of some connections that are open and wanted, up to the
// first one of another loop. On the loop of the first one.
func describe(all []*conn, into []core.ConnectionInfo, wanted func(*conn) bool, then func(*conn)) described {
	d := described{listed: into}
	start := time.Now()
	for i, c := range all {
		if len(d.listed) == listBatch || c.loop != all[0].loop || i%16 == 15 && time.Since(start) > listTime {
			d.rest = all[i:]
			break
		}
		if !c.isOpen() || !wanted(c) {
			continue
		}
		d.listed = append(d.listed, c.listed())
		if then != nil {
			then(c)
		}
	}
	return d
}

func (c *conn) listed() core.ConnectionInfo {
	recent, ticks := c.traffic.look(c.opened, c.loop.ticks.Load())
	return core.ConnectionInfo{
		ID: c.id, Endpoint: c.ep.Name, Protocol: c.ep.Protocol, Remote: c.remote, User: c.user.User(), Opened: c.OpenedAt(),
		Idle: time.Duration(c.loop.ticks.Load()-c.lastMessage) * timers.Tick, Queued: c.out.size, Held: c.heldBack(),
		TLS: c.secure != nil, Compressed: c.window != 0, Traffic: c.traffic.Traffic, Recent: recent, RecentFor: time.Duration(ticks) * timers.Tick,
	}
}

// askLoop returns what f returns on the loop.
func askLoop[T any](ctx context.Context, l *loop, f func() T) (result T, err error) {
	got := make(chan T, 1)
	l.post(mail{fn: func() { got <- f() }})
	select {
	case result = <-got:
		return result, nil
	case <-l.server.done:
		return result, errors.New("listing connections: the broker has ended")
	case <-ctx.Done():
		return result, fmt.Errorf("listing connections: %w", ctx.Err())
	}
}
