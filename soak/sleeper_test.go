package soak

import (
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// loudTopic is the topic of sleepers: it has too many messages.
const loudTopic = "loud/t"

// loud publishes almost without pause until ctx ends, and counts in said what it has published.
func loud(ctx context.Context, conn *client, said *atomic.Int64) error {
	gone := conn.drain()
	defer func() {
		conn.leave()
		<-gone
	}()
	message := conn.publish(loudTopic, strings.Repeat("x", 4<<10))
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return conn.end
		case <-pace.C:
			if err := conn.say(message, message, message, message); err != nil {
				return err
			}
			said.Add(4)
		}
	}
}

// sleeper reads a little and sleeps, again and again, and reconnects when it was disconnected.
type sleeper struct {
	by      ws.Dialer
	url     string
	dialect dialect
	loud    *atomic.Int64 // published at loudTopic so far
}

func (s *sleeper) run(ctx context.Context) error {
	s.by.NetDial = smallWindow
	for ctx.Err() == nil {
		conn, err := dial(ctx, s.by, s.url, s.dialect)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			s.stay(ctx, conn)
			conn.leave()
		case !refusedAtDoor(s.url, err):
			return err
		}
		nap(ctx, 100*time.Millisecond)
	}
	return nil
}

// stay reads and sleeps until either side ends the connection.
func (s *sleeper) stay(ctx context.Context, conn *client) {
	defer context.AfterFunc(ctx, func() { _ = conn.conn.SetReadDeadline(time.Unix(1, 0)) })()
	if conn.say(conn.subscribe(loudTopic)) != nil {
		return
	}
	for range rand.IntN(20) {
		for range rand.IntN(200) {
			if _, err := conn.hear(); err != nil {
				return
			}
		}
		s.sleep(ctx)
	}
}

// sleep lasts not for a time but until more was published than fits into the buffers on the way,
// now and then: so somebody is too slow on a machine of any speed.
func (s *sleeper) sleep(ctx context.Context) {
	for until := s.loud.Load() + rand.Int64N(400); s.loud.Load() < until && ctx.Err() == nil; {
		nap(ctx, 20*time.Millisecond)
	}
}

// smallWindow dials with a small receive buffer, so that the broker soon notices a client that does
// not read.
func smallWindow(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		err = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	return conn, err
}

// nap sleeps for at most longest, or until ctx ends.
func nap(ctx context.Context, longest time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(longest)):
	}
}
