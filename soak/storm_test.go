package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// stormSize is how many clients come at once.
const stormSize = 2000

// storms come one after the other. Each client connects once, is admitted or told to come back
// later, and leaves.
type storms struct {
	by   ws.Dialer
	urls []string // of endpoints that speak vws

	in, refused atomic.Int64
}

// run makes storms until ctx ends.
func (s *storms) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.storm(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		nap(ctx, 2*time.Second)
	}
	return nil
}

// storm is one storm. Its error says to how many clients something happened that must not, and what
// happened first.
func (s *storms) storm(ctx context.Context) error {
	var clients sync.WaitGroup
	faults := make(chan error, stormSize)
	for i := range stormSize {
		clients.Go(func() {
			if err := s.visit(ctx, s.urls[i%len(s.urls)]); err != nil {
				faults <- fmt.Errorf("client %d of a storm: %w", i, err)
			}
		})
	}
	clients.Wait()
	if n := len(faults); n > 0 {
		return fmt.Errorf("%d faults, such as %w", n, <-faults)
	}
	return nil
}

func (s *storms) visit(ctx context.Context, url string) error {
	conn, err := dial(ctx, s.by, url, vws{})
	if err != nil {
		if refusedAtDoor(url, err) {
			s.refused.Add(1)
			return nil
		}
		return fmt.Errorf("dialling %s: %w", url, err)
	}
	defer conn.leave()
	s.in.Add(1)
	_ = conn.conn.SetDeadline(time.Now().Add(patience))
	for range rand.IntN(3) {
		if err := conn.settle(); err != nil {
			return fmt.Errorf("speaking to %s: %w", url, err)
		}
		nap(ctx, 100*time.Millisecond)
	}
	return nil
}

// refusedAtDoor reports whether err means that the broker admits nobody at the moment. Before the
// TLS handshake it can only close the connection.
func refusedAtDoor(url string, err error) bool {
	if status, ok := errors.AsType[ws.StatusError](err); ok {
		return status == http.StatusServiceUnavailable
	}
	return strings.HasPrefix(url, "wss:") &&
		(errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}
