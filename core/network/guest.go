package network

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/polywire/polywire/core"
)

// guest is the seat of a core.Guest on a loop: a connection that the process has made to another server. It is
// not one of the server's clients: no limit of theirs is meant for it, and it does not end with them.
type guest struct {
	// Static after construction.
	server *Server
	guest  core.Guest
	loop   *loop // static after opened

	due atomic.Bool // a call of Guest.Turn is asked for

	// Owned by the loop. seated is read by Host too, when the loop has opened the connection.
	seated bool
	socket attachment
	paused bool
	ended  bool
}

var _ core.Seat = (*guest)(nil)

// errNoGuests is why the loops take no guest, and why the last ones end.
var errNoGuests = errors.New("the event loops are about to end")

// Host moves a connection without TLS, of TCP or of a Unix socket, into an event loop, which serves g with it.
// It closes conn: what is left is a duplicate. The error is why there is no guest; then g was not called. Any
// goroutine but those of the loops, which have started (see Running).
func (s *Server) Host(conn net.Conn, g core.Guest) error {
	defer func() { _ = conn.Close() }()
	s.hosting.RLock()
	defer s.hosting.RUnlock()
	if s.noGuests {
		return errNoGuests
	}
	one := &guest{server: s, guest: g}
	_, err := s.client.EnrollContext(conn, one)
	// It does not report a poller that refuses the duplicate.
	if err == nil && !one.seated {
		err = errNotEnrolled
	}
	if err != nil {
		return fmt.Errorf("moving a connection into an event loop: %w", err)
	}
	return nil
}

// endHosting makes Host fail, waits for the calls of it that have begun, which a loop that has ended would not
// answer, and ends the guests that are left. A loop that does not come to that in time ends with them.
func (s *Server) endHosting() {
	late := time.After(time.Second)
	s.hosting.Lock()
	s.noGuests = true
	s.hosting.Unlock()
	for _, l := range s.loopList() {
		ended := make(chan struct{})
		l.post(mail{fn: func() {
			defer close(ended)
			for _, g := range slices.Clone(l.guests) {
				g.end(errNoGuests)
			}
		}})
		select {
		case <-ended:
		case <-late:
			return
		}
	}
}

// opened is called when gnet has taken the socket.
func (g *guest) opened(l *loop, gc gnet.Conn) {
	g.loop = l
	g.socket.attach(gc)
	l.guests = append(l.guests, g)
	g.seated = true
	g.guard(func() { g.guest.Seated(g) })
}

// received is called when there is input.
func (g *guest) received(b []byte) {
	if !g.ended {
		g.guard(func() { g.guest.Received(b) })
	}
}

// closed is called when gnet is about to close a socket.
func (g *guest) closed(gc gnet.Conn, err error) {
	if g.socket.gc == gc {
		g.socket.leave()
		g.end(cmp.Or(err, io.EOF))
	}
}

// guard runs f, which is the guest's. If it panics, its connection ends.
func (g *guest) guard(f func()) {
	defer func() {
		if fault := recover(); fault != nil {
			g.server.panicked(nil, fault)
			g.end(fmt.Errorf("a fault: %v", fault))
		}
	}()
	f()
}

// Panicked counts and logs a panic of what a guest does elsewhere. Any goroutine.
func (s *Server) Panicked(fault any) { s.panicked(nil, fault) }

// end closes the connection, and tells the guest.
func (g *guest) end(why error) {
	if g.ended {
		return
	}
	g.ended = true
	if i := slices.Index(g.loop.guests, g); i >= 0 {
		g.loop.guests = slices.Delete(g.loop.guests, i, i+1)
	}
	gc := g.socket.gc
	g.socket.leave()
	if gc != nil {
		if err := g.loop.el.Close(gc); err != nil {
			g.server.log.Debug("closing the connection of a guest", slog.Any("error", err))
		}
	}
	g.server.guard(nil, func() { g.guest.Unseated(why) })
}

// Ask asks for a turn: that which the loop is in has one at its end.
func (g *guest) Ask() {
	if g.due.CompareAndSwap(false, true) && !g.loop.turning.Load() {
		g.loop.kick()
	}
}

// serveGuests gives the guests their turns. It is called once in a turn of the loop, near its end.
func (l *loop) serveGuests() {
	for i := 0; i < len(l.guests); i++ {
		if g := l.guests[i]; g.due.CompareAndSwap(true, false) {
			g.guard(g.guest.Turn)
		}
	}
}

// stopTurning ends what Ask relies on. A guest that has asked since serveGuests has its turn in the loop's next one.
func (l *loop) stopTurning() {
	l.turning.Store(false)
	for _, g := range l.guests {
		if g.due.Load() {
			l.askSoon()
			return
		}
	}
}

func (g *guest) Write(b []byte) (n int, err error) {
	switch {
	case g.ended:
		return 0, net.ErrClosed
	case !g.socket.writable():
		return 0, nil
	}
	return offer(g.socket.fd, b)
}

func (g *guest) Pause() {
	g.paused = true
	if g.socket.where != attached {
		return
	}
	gc, err := g.socket.park()
	if err != nil {
		g.end(fmt.Errorf("stopping to read: %w", err))
		return
	}
	if err := g.loop.el.Close(gc); err != nil {
		g.server.log.Debug("parking the connection of a guest", slog.Any("error", err))
	}
}

func (g *guest) Resume() {
	g.paused = false
	if g.socket.where != parked {
		return
	}
	if err := g.socket.unpark(g.loop.el, g); err != nil {
		g.end(err)
	}
}

func (g *guest) Close() { g.end(nil) }

// post, arrive and cannotReturn are for a guest that was paused.

func (g *guest) post(f func()) { g.loop.post(mail{fn: f}) }

func (g *guest) arrive(gc gnet.Conn) gnet.Action {
	if g.ended {
		return gnet.Close
	}
	g.socket.attach(gc)
	if g.paused {
		g.Pause()
	}
	return gnet.None
}

func (g *guest) cannotReturn(err error) {
	g.end(fmt.Errorf("resuming to read: %w", err))
}
