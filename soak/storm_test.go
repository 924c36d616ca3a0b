package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// stormSize is how many clients come at once.
const stormSize = 2000

// storms come one after the other. Each client comes once, is let in or told to come
// back later, and leaves.
type storms struct {
	by   ws.Dialer
	urls []string // of endpoints that speak vws

	in, refused atomic.Int64
}

// run lets storms come until ctx ends.
func (s *storms) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.storm(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		nap(ctx, 2*time.Second)
	}
	return nil
}

// storm is one. It returns the first thing that must not happen to a client.
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
	close(faults)
	return <-faults
}

func (s *storms) visit(ctx context.Context, url string) error {
	conn, err := dial(ctx, s.by, url, vws{})
	if err != nil {
		if refusedAtDoor(err) || strings.HasPrefix(url, "wss:") && hungUp(err) {
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

// hungUp reports whether the broker hung up without a word: it can speak to nobody
// before the TLS handshake.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
