package soak

import (
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// loudTopic is what sleepers hear: too much.
const loudTopic = "loud/t"

// loud publishes without a pause worth mentioning until ctx ends.
func loud(ctx context.Context, conn *client) error {
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
		}
	}
}

// sleeper reads a little and sleeps, again and again, and comes back when it was
// disconnected.
type sleeper struct {
	by      ws.Dialer
	url     string
	dialect dialect
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

// stay hears and sleeps until the connection ends, by whomever.
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
		nap(ctx, time.Second)
	}
}

// smallWindow dials with a small receive buffer, so that the broker soon notices who
// does not read.
func smallWindow(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		err = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	return conn, err
}

// nap sleeps for up to so long, or until ctx ends.
func nap(ctx context.Context, longest time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(longest)):
	}
}
