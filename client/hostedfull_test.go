package client

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/polywire/polywire/core"
)

// fullSeat is a seat whose socket is full at most times.
type fullSeat struct {
	core.Seat
	takes  func() bool // reports whether the socket takes everything now
	asked  chan struct{}
	closed bool
}

func (s *fullSeat) Ask() {
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

func (s *fullSeat) Write(b []byte) (int, error) {
	if s.takes() {
		return len(b), nil
	}
	return 0, nil
}

func (s *fullSeat) Close() { s.closed = true }

// A connection on an event loop whose socket is full for writeTimeout ends, and its socket is tried now and then
// until that. One that has taken everything meanwhile has all the time again.
func TestHostedWriteTimeout(t *testing.T) {
	const takenAt = writeTimeout * 6 / 10
	for name, taken := range map[string]bool{"full": false, "full twice": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				since := begin
				seat := &fullSeat{asked: make(chan struct{}, 1)}
				k := &connection{client: Prepare(Options{}), dead: make(chan struct{}), ending: make(chan struct{})}
				h := &hosted{k: k, gone: make(chan struct{})}
				k.hosted = h
				seat.takes = func() bool {
					if !taken || time.Since(begin) < takenAt {
						return false
					}
					taken, since = false, time.Now()
					k.send([]byte("more"))
					return true
				}
				h.Seated(seat)
				k.send([]byte("some"))
				turns := 0
				for !seat.closed {
					<-seat.asked
					turns++
					h.Turn()
				}
				h.Unseated(nil)
				<-h.gone
				if took := time.Since(since); !errors.Is(k.err, os.ErrDeadlineExceeded) || took < writeTimeout || took > writeTimeout+2*lastRetry {
					t.Errorf("it ended after %v: %v", took, k.err)
				}
				if most := int(time.Since(begin)/lastRetry) + 30; turns > most {
					t.Errorf("the socket was tried in %d turns, want at most %d", turns, most)
				}
			})
		})
	}
}
