package roster

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/polywire/polywire/core/logging"
)

const (
	// FirstPause is how long is waited between two attempts to connect, halved and more by chance:
	// the nodes of a cluster must not come back all at once.
	FirstPause = 100 * time.Millisecond
	// MaxPause is how long it becomes, doubled each time.
	MaxPause = 5 * time.Second
)

// KeepConnected connects, and connects again whenever the connection is lost, until ctx ends. connect
// returns when a connection has ended, or could not be made, with the reason, which is said in h and
// log. If that is ErrTwin, twin is called, and returns how long the other one may take to leave.
func KeepConnected(ctx context.Context, h *Health, log *slog.Logger, connect func(context.Context) error, twin func() time.Duration) {
	pause := FirstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := connect(ctx)
		if ctx.Err() != nil {
			return
		}
		h.Set(AboutEngine, err)
		log.Warn("this node is not in the cluster", logging.Bounded("", ""), slog.String("error", err.Error()))
		if time.Since(began) > MaxPause {
			pause = FirstPause
		}
		if errors.Is(err, ErrTwin) {
			pause = twin()
		}
		Sleep(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, MaxPause)
	}
}

// Sleep waits for a while, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
