package polywire

import (
	"context"
	"errors"
	"fmt"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

type (
	// Tapped is what a tap is on: an endpoint, a connection, or the messages on a topic or on those of a pattern.
	Tapped = admin.Tapped
	// Tap reports what is said. Next is for one goroutine; Close ends it.
	Tap = admin.Tap
)

// Tap begins to report what clients say and hear, as /v1/tap does, but leaves nothing out: it shows credentials, and
// what the configuration hides from operators. Nobody waits for a tap; what its reader is too slow for is lost, and told
// as a number. The caller closes it. The error is [core.ErrNoEndpoint], [core.ErrNoConnection], that of ctx, or says
// why no tap is possible. Any goroutine but those of hooks that loops wait for.
func (b *Broker) Tap(ctx context.Context, on Tapped, o core.TapOptions) (Tap, error) {
	err := b.life.running()
	named := 0
	for _, is := range []bool{on.Endpoint != "", on.Connection != 0, on.Topic != ""} {
		if is {
			named++
		}
	}
	if err == nil && named != 1 {
		err = errors.New("it is on an endpoint, a connection or a topic")
	}
	var t Tap
	if err == nil {
		t, err = b.tap(ctx, on, o)
	}
	if err != nil {
		return nil, fmt.Errorf("tapping: %w", err)
	}
	return t, nil
}
