package events

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What is observed is told on topics, in order, and what cannot be is counted.
func TestTopics(t *testing.T) {
	h := NewHub("n")
	var mu sync.Mutex
	var told []string
	ctx, cancel := context.WithCancel(t.Context())
	topics := NewTopics(h, func(_ context.Context, topic []byte, p core.Payload) error {
		var e event
		if err := json.Unmarshal(p.Data, &e); err != nil || p.Kind != core.JSON {
			t.Errorf("%v: %s", err, p.Data)
		}
		if e.Topic == "no room" {
			return errors.New("the broker ends")
		}
		mu.Lock()
		defer mu.Unlock()
		told = append(told, string(topic)+" "+e.Type+" "+strings.TrimPrefix(e.ID, h.run))
		return nil
	}, slog.New(slog.DiscardHandler))
	h.Use(nil, topics)
	for m := range core.NumMoments {
		if !h.Wants(m) {
			t.Errorf("%s is not wanted", m)
		}
		h.Observe(&core.Observation{Moment: m})
	}
	h.Observe(&core.Observation{Moment: core.MomentSubscribed, Topic: strings.Repeat("x", topicsQueue)})
	h.Observe(&core.Observation{Moment: core.MomentSubscribed, Topic: "no room"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		topics.Run(ctx)
	}()
	s := topics.Stats()
	coretest.Eventually(t, "all are told", func() bool { return s.Sent.Load() == uint64(core.NumMoments) && s.Queued.Load() == 0 })
	coretest.Eventually(t, "all are counted", func() bool {
		return s.Dropped[core.ReasonOverload].Load() == 1 && s.Dropped[core.ReasonUnwritable].Load() == 1
	})
	h.Observe(&core.Observation{Moment: core.MomentConnected})
	coretest.Eventually(t, "the last one is told", func() bool { return s.Sent.Load() == uint64(core.NumMoments)+1 })
	cancel()
	coretest.Receive(t, "the end", done)
	want := "$sys/connections/connected connected -0-1; $sys/connections/disconnected disconnected -0-2; $sys/subscriptions/subscribed subscribed -0-3; " +
		"$sys/subscriptions/unsubscribed unsubscribed -0-4; $sys/offers/offered offered -0-5; $sys/offers/withdrawn withdrawn -0-6; " +
		"$sys/sessions/opened session_opened -0-7; $sys/sessions/closed session_closed -0-8; $sys/refusals/refused refused -0-9; $sys/connections/connected connected -0-12"
	if got := strings.Join(told, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
