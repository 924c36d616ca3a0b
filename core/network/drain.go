package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
)

// Leave makes Ready false, so that no new clients are sent here. Clients that still come are
// let in and served.
func (s *Server) Leave() { s.leaving.Store(true) }

// StopListening closes the listeners, on which another process accepts clients too. It
// returns when all accepted connections are upgraded or answered by plain HTTP, or when ctx
// ends: no client is refused.
func (s *Server) StopListening(ctx context.Context) error {
	s.Leave()
	s.mu.Lock()
	doors := s.doors
	s.mu.Unlock()
	var errs []error
	for _, d := range doors {
		errs = append(errs, d.stop())
		d.accepting.Wait()
		d.plain.http.SetKeepAlivesEnabled(false)
	}
	under := func() (n int64) {
		n = s.admission.handshakes.Load()
		for _, d := range doors {
			n += d.plain.open.Load()
		}
		return n
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for under() > 0 {
		select {
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("waiting for clients on their way in: %d left: %w", under(), ctx.Err()))...)
		case <-ticker.C:
		}
	}
	return errors.Join(errs...)
}

// StopAdmitting makes the server answer further clients, and further plain HTTP requests,
// with 503. It still listens, so that they are told why; open connections continue. Ready is
// false from here on.
func (s *Server) StopAdmitting() { s.draining.Store(true) }

// Connections returns how many connections are open.
func (s *Server) Connections() int { return int(s.open.Load()) }

// ConnectionsOf returns how many connections of an endpoint are open; 0 if there is no
// endpoint of this name.
func (s *Server) ConnectionsOf(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ep := s.eps[endpoint]; ep != nil {
		return int(ep.open.Load())
	}
	return 0
}

// Shutdown says goodbye to every connection, to rate of them per second (0: to all at
// once), and faster if that would take longer than ctx allows. When ctx ends, it cuts the
// rest. Then it stops listening and ends the loops. Only the first call has an effect.
func (s *Server) Shutdown(ctx context.Context, rate float64) error {
	s.StopAdmitting()
	if s.down.Swap(true) {
		return nil
	}
	errs := []error{s.sayGoodbyes(ctx, rate, func(*conn) bool { return true }), s.drained(ctx)}
	s.mu.Lock()
	doors := s.doors
	for _, ep := range s.eps {
		ep.endTap("the broker shuts down")
	}
	s.mu.Unlock()
	for _, d := range doors {
		errs = append(errs, d.stop(), d.drain(ctx))
	}
	s.halfOpen.endAll(ctx)
	s.options.Farewell()
	return errors.Join(append(errs, s.stop())...)
}

// goodbyeTick is how often a paced drain closes connections.
const goodbyeTick = 20 * time.Millisecond

// sayGoodbyes begins the close handshake of every connection for which leaves is true, rate
// of them per second.
func (s *Server) sayGoodbyes(ctx context.Context, rate float64, leaves func(*conn) bool) error {
	conns, err := s.connections(ctx, leaves)
	if err != nil {
		// A loop was too busy to list its connections in time: it closes them when it can.
		s.sayGoodbyesAtOnce(leaves)
		return err
	}
	rate = pace(ctx, rate, len(conns), time.Now())
	ticker := time.NewTicker(goodbyeTick)
	defer ticker.Stop()
	start := time.Now()
	for told := 0; told < len(conns); {
		due := len(conns)
		if rate > 0 {
			due = min(due, int(rate*time.Since(start).Seconds())+1)
		}
		for ; told < due; told++ {
			conns[told].Close(core.ReasonDrain)
		}
		select {
		case <-ctx.Done():
			rate = 0
		case <-ticker.C:
		}
	}
	return nil
}

// sayGoodbyesAtOnce makes each loop begin the close handshake of its connections that leave.
func (s *Server) sayGoodbyesAtOnce(leaves func(*conn) bool) {
	for _, l := range s.loopList() {
		l.post(mail{fn: func() {
			for c := range l.conns {
				if leaves(c) {
					s.guard(c, func() { c.sayGoodbye(core.ReasonDrain) })
				}
			}
		}})
	}
}

// pace returns the rate at which n connections are closed within ctx, leaving some of
// its time to the clients for their answers: rate, if that is enough.
func pace(ctx context.Context, rate float64, n int, now time.Time) float64 {
	deadline, ok := ctx.Deadline()
	if rate <= 0 || !ok {
		return rate
	}
	left := deadline.Sub(now)
	left -= min(left/4, 5*time.Second)
	return max(rate, float64(n)/max(left.Seconds(), 0.001))
}

// connections returns the open connections that are wanted. A client in the middle of its
// upgrade may come later; it gets its goodbye when it opens.
func (s *Server) connections(ctx context.Context, wanted func(*conn) bool) ([]*conn, error) {
	loops := s.loopList()
	lists := make(chan []*conn, len(loops))
	for _, l := range loops {
		l.post(mail{fn: func() {
			list := make([]*conn, 0, len(l.conns))
			for c := range l.conns {
				if wanted(c) {
					list = append(list, c)
				}
			}
			lists <- list
		}})
	}
	var all []*conn
	for range loops {
		select {
		case list := <-lists:
			all = append(all, list...)
		case <-ctx.Done():
			return nil, fmt.Errorf("listing connections: %w", ctx.Err())
		}
	}
	return all, nil
}

// drained waits until no connection is open.
func (s *Server) drained(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for s.open.Load() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("draining: %d connections left: %w", s.open.Load(), ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}
