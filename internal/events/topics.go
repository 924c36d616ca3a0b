package events

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// topicsQueue bounds what waits to be told on topics, in bytes.
const topicsQueue = 16 << 20

// topicOf are the topics below core.SysTopic.
var topicOf = [core.NumMoments]string{
	core.MomentConnected: "connections/connected", core.MomentDisconnected: "connections/disconnected",
	core.MomentSubscribed: "subscriptions/subscribed", core.MomentUnsubscribed: "subscriptions/unsubscribed",
	core.MomentOffered: "offers/offered", core.MomentWithdrawn: "offers/withdrawn",
	core.MomentSessionOpened: "sessions/opened", core.MomentSessionClosed: "sessions/closed",
	core.MomentRefused: "refusals/refused",
}

// Topics tells clients of the broker, on topics, what others do. Run is called once; all else by any goroutine.
type Topics struct {
	// Static after construction.
	prefix string // of the ids of events
	tell   func(ctx context.Context, topic []byte, payload core.Payload) error
	log    *slog.Logger

	queue queue
}

// NewTopics returns what tells the observations of a hub on topics, with tell, which may wait for room until ctx ends.
func NewTopics(h *Hub, tell func(ctx context.Context, topic []byte, payload core.Payload) error, log *slog.Logger) *Topics {
	t := &Topics{prefix: h.run + "-0-", tell: tell, log: log}
	t.queue.stats, t.queue.wake = new(core.SinkStats), make(chan struct{}, 1)
	return t
}

// Stats are the counters.
func (t *Topics) Stats() *core.SinkStats { return t.queue.stats }

// Run tells what is observed, until ctx ends.
func (t *Topics) Run(ctx context.Context) {
	told := uint64(0) // of what was dropped
	for {
		for _, w := range t.queue.take(256, maxBatch) {
			data, err := json.Marshal(newEvent(t.prefix+strconv.FormatUint(w.number, 10), w.of))
			if err == nil {
				err = t.tell(ctx, []byte(core.SysTopic+topicOf[w.of.Moment]), core.Payload{Kind: core.JSON, Data: data})
			}
			if err != nil {
				t.queue.stats.Dropped.Inc(core.ReasonUnwritable)
				continue
			}
			t.queue.stats.Sent.Add(1)
		}
		if n := t.queue.stats.Dropped[core.ReasonOverload].Load(); n != told {
			t.log.Warn("events dropped", logging.Bounded("", core.ReasonOverload.String()), slog.Uint64("events", n-told))
			told = n
		}
		if t.queue.waits() {
			continue
		}
		select {
		case <-t.queue.wake:
		case <-ctx.Done():
			return
		}
	}
}
