package network

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// room says what a loop still has to hand out, and so who has to wait before it says
// something more.
type room uint32

const (
	// ample: nobody waits.
	ample room = iota
	// scarce: what made the mailbox congested is still being handed out. Whoever has published
	// something big waits until it is: it is what the others wait for.
	scarce
	// none: the mailbox is congested. Everybody waits.
	none
)

// bigMessage is the size in bytes from which on a message is one that others wait for:
// some of them congest a mailbox.
const bigMessage = congestedBytes / 16

// gate is where those wait who have something to say. Any goroutine.
type gate struct {
	shut atomic.Int32 // how many loops keep it shut

	mu      sync.Mutex
	waiting []func() // guarded by mu: what to call when no loop does any more
}

// wait reports whether the gate is shut, and has then called, once, when it is open. then
// must not block.
func (g *gate) wait(then func()) bool {
	if g.shut.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut.Load() == 0 {
		return false
	}
	g.waiting = append(g.waiting, then)
	return true
}

// close is called by a loop that did not keep the gate shut.
func (g *gate) close() { g.shut.Add(1) }

// open is called by a loop that kept the gate shut, with no lock held.
func (g *gate) open() {
	g.mu.Lock()
	var free []func()
	if g.shut.Add(-1) == 0 {
		free, g.waiting = g.waiting, nil
	}
	g.mu.Unlock()
	for _, then := range free {
		then()
	}
}

// gates are those of a server: each is shut while a loop has less room than it is named
// after.
type gates struct{ ample, scarce gate }

// of returns the gate of whoever has n bytes to say, or has just said them.
func (g *gates) of(n int) *gate {
	if n >= bigMessage {
		return &g.ample
	}
	return &g.scarce
}

// setRoom says how much room a loop has. It returns what the caller must call when it holds
// no lock any more. The caller holds mailbox.mu.
func (l *loop) setRoom(now room) (opened []*gate) {
	before := room(l.room.Swap(uint32(now)))
	// Who has less to say goes first.
	gates := [...]*gate{scarce: &l.server.gates.scarce, ample: &l.server.gates.ample}
	for _, r := range []room{scarce, ample} {
		switch {
		case before <= r && now > r:
			gates[r].close()
		case before > r && now <= r:
			opened = append(opened, gates[r])
		}
	}
	return opened
}

// makeRoom lets those go on for whom there is room again. On the loop, at the end of a
// turn.
func (l *loop) makeRoom() {
	before := room(l.room.Load())
	if before == ample {
		return
	}
	l.mailbox.mu.Lock()
	var opened []*gate
	if l.mailbox.relaxed() {
		now := scarce
		if l.mailbox.handedOut() {
			now = ample
		}
		if now < before {
			opened = l.setRoom(now)
		}
	}
	l.mailbox.mu.Unlock()
	for _, g := range opened {
		g.open()
	}
}

// WaitForRoom waits until a message of n bytes finds room in all mailboxes, or until ctx or
// the loops end. Any goroutine but those of the loops.
func (s *Server) WaitForRoom(ctx context.Context, n int) error {
	room := make(chan struct{})
	if !s.gates.of(n).wait(func() { close(room) }) {
		return nil
	}
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for room in a mailbox: %w", ctx.Err())
	case <-s.done:
		return errors.New("waiting for room in a mailbox: the event loops have ended")
	}
}

// awaitRoom holds the connection as long as there is no room for what it says; n is the
// size in bytes of what it has just said.
func (c *conn) awaitRoom(n int) {
	if c.state == open && c.ep.server.gates.of(n).wait(func() { c.Post(c.Release) }) {
		c.Hold()
	}
}
