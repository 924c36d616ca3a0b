package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// listBatch is how many connections a loop describes in one turn.
const listBatch = 256

// List calls visit with each open connection, on the calling goroutine. Connections that come or leave
// meanwhile may be missing. The loops describe them in many short turns, between their work.
func (s *Server) List(ctx context.Context, visit func(core.ConnectionInfo)) error {
	return s.walk(ctx, func(*conn) bool { return true }, func(batch []core.ConnectionInfo) bool {
		for _, one := range batch {
			visit(one)
		}
		return true
	})
}

// Find returns a connection, and what it has at the engine. The error is ErrNoConnection, or that of ctx.
func (s *Server) Find(ctx context.Context, id uint64) (found core.ConnectionInfo, h core.Holdings, err error) {
	found, err = s.one(ctx, id, func(c *conn) {
		if c.peer != nil {
			h = c.peer.Holdings()
		}
	})
	return found, h, err
}

// End ends a connection with its format's goodbye for a reason, after what is queued for it. The error is
// ErrNoConnection, or that of ctx.
func (s *Server) End(ctx context.Context, id uint64, r core.Reason) (ended core.ConnectionInfo, err error) {
	return s.one(ctx, id, func(c *conn) { c.sayGoodbye(r) })
}

// one calls f with the connection of a number, on its loop.
func (s *Server) one(ctx context.Context, id uint64, f func(*conn)) (found core.ConnectionInfo, err error) {
	err = s.walk(ctx, func(c *conn) bool {
		if c.id != id {
			return false
		}
		f(c)
		return true
	}, func(batch []core.ConnectionInfo) bool {
		found = batch[0]
		return false
	})
	if err == nil && found.ID != id {
		err = core.ErrNoConnection
	}
	return found, err
}

// walk calls wanted on the loops with each open connection, and visit on the calling goroutine with those for
// which it is true, until visit returns false.
func (s *Server) walk(ctx context.Context, wanted func(*conn) bool, visit func([]core.ConnectionInfo) bool) error {
	for _, l := range s.loopList() {
		all, err := askLoop(ctx, l, func() []*conn { return slices.AppendSeq(make([]*conn, 0, len(l.conns)), maps.Keys(l.conns)) })
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(all, listBatch) {
			listed, err := askLoop(ctx, l, func() []core.ConnectionInfo { return describe(batch, wanted) })
			if err != nil {
				return err
			}
			if len(listed) > 0 && !visit(listed) {
				return nil
			}
		}
	}
	return nil
}

// describe returns those of some connections that are open and wanted. On their loop.
func describe(batch []*conn, wanted func(*conn) bool) (all []core.ConnectionInfo) {
	for _, c := range batch {
		if !c.isOpen() {
			continue
		}
		one := c.listed() // before wanted, which may end it
		if wanted(c) {
			all = append(all, one)
		}
	}
	return all
}

func (c *conn) listed() core.ConnectionInfo {
	return core.ConnectionInfo{
		ID: c.id, Endpoint: c.ep.Name, Protocol: c.ep.Protocol, Remote: c.remote, User: c.user.User(), Opened: c.OpenedAt(),
		Idle: time.Duration(c.loop.ticks.Load()-c.lastMessage) * timers.Tick, Queued: c.out.size, Held: c.heldBack(),
		TLS: c.secure != nil, Compressed: c.window != 0,
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
