package polywire

import (
	"context"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

// tap begins a tap for the admin server.
func (b *Broker) tap(ctx context.Context, on admin.Tapped, o core.TapOptions) (admin.Tap, error) {
	var t admin.Tap
	var err error
	switch {
	case on.Endpoint != "":
		t, err = b.parts.Network.Tap(on.Endpoint, o)
	case on.Connection != 0:
		t, err = b.parts.Network.TapConnection(ctx, on.Connection, o)
	default:
		t, err = b.tapTopic(on.Topic, o)
	}
	if err != nil {
		return nil, err // not a nil pointer
	}
	return t, nil
}

// topicTap is a tap on topics, for which connections keep what their clients say.
type topicTap struct {
	admin.Tap
	stop func()
}

func (b *Broker) tapTopic(pattern string, o core.TapOptions) (admin.Tap, error) {
	stop := b.parts.Network.Watch()
	t, err := b.parts.Engine.Tap(pattern, o)
	if err != nil {
		stop()
		return nil, err
	}
	return topicTap{t, stop}, nil
}

// Close ends the tap.
func (t topicTap) Close() {
	t.Tap.Close()
	t.stop()
}

// taps returns how many taps there are, and how many events they have lost.
func (b *Broker) taps() (open int, lost uint64) {
	open, lost = b.parts.Network.Taps()
	topics, more := b.parts.Engine.Taps()
	return open + topics, lost + more
}
