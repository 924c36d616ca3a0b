package soak

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

var calls = flag.Int("calls", 20_000, "how many calls are made")

// callers and answerers are how many connections of each format call and serve.
const callers, answerers = 4, 2

// callGrowth is by how many bytes the heap may differ after a round: it varies that much between
// two garbage collections, whatever the number of calls.
const callGrowth = 1 << 20

const configuration = `
endpoints:
  - { name: wubsub, protocol: wubsub, listen: "127.0.0.1:0", call_timeout: 500ms }
  - { name: wsify, protocol: wsify, listen: "127.0.0.1:0", call_timeout: 500ms }
  - { name: stocking, protocol: stocking, listen: "127.0.0.1:0", call_timeout: 500ms }
  - { name: vws, protocol: vws, listen: "127.0.0.1:0", call_timeout: 500ms, options: { allow_send: true } }
  - { name: webwire, protocol: webwire, listen: "127.0.0.1:0", call_timeout: 500ms }
services: [{ match: echo, builtin: echo }]
admin: { listen: "127.0.0.1:0" }
`

// TestCalls makes calls, and checks that all of them end and nothing is left.
func TestCalls(t *testing.T) {
	b := start(t, configuration, slog.LevelInfo)
	b.handle()
	// The first round creates what stays: connections to the metrics page, pools, the buffers of
	// the loops.
	b.round(t, 10_000)
	before, none := b.settled(t), leftovers(t)
	began := time.Now()
	told := b.round(t, *calls)
	took := time.Since(began)
	after := b.settled(t)
	t.Logf("%d calls in %v: %d ended, %d abandoned by callers that left", *calls, took.Round(time.Millisecond),
		told.ended.Load(), told.abandoned.Load())
	for _, reason := range []string{"timeout", "gone", "no_service", "answerer"} {
		n := b.metric(t, "polywire_calls_failed_total", reasonIs(reason))
		t.Logf("%d failed: %s", n, reason)
		if n == 0 {
			t.Errorf("no call failed with %s: the soak is too mild", reason)
		}
	}
	if n := b.metric(t, "polywire_messages_refused_total", reasonIs("not_asked")); n == 0 {
		t.Error("no forged answer was refused: the soak is too mild")
	}
	if sum := told.ended.Load() + told.abandoned.Load(); sum != int64(*calls) {
		t.Errorf("%d calls ended or were abandoned, want %d", sum, *calls)
	}
	none()
	compare(t, before, after, callGrowth)
}

// handle registers a Go handler, which sometimes waits longer than its caller does.
func (b *broker) handle() {
	b.Handle("go/m", func(ctx context.Context, c core.Invocation) (core.Payload, error) {
		if rand.IntN(500) == 0 {
			<-ctx.Done()
		}
		return c.Payload, ctx.Err()
	})
}

// round makes clients make n calls. When it returns they have left.
func (b *broker) round(t *testing.T, n int) *tally {
	t.Helper()
	counts := new(tally)
	counts.left.Store(int64(n))
	serving, stop := context.WithCancel(t.Context())
	defer stop()
	var calling, answering sync.WaitGroup
	services := []string{"echo", "go/m", "nobody/m"}
	for name, d := range dialects {
		for i := range answerers {
			a := &answerer{url: b.urls[name], dialect: d, service: name + "/m"}
			if name == "wubsub" {
				// A channel has one owner.
				a.service = name + strconv.Itoa(i) + "/m"
			}
			services = append(services, a.service)
			answering.Go(func() {
				if err := a.run(serving); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for name, d := range dialects {
		for range callers {
			c := &caller{url: b.urls[name], dialect: d, services: services, tally: counts}
			calling.Go(func() {
				if err := c.run(t.Context()); err != nil {
					t.Errorf("a caller of %s: %v", name, err)
				}
			})
		}
	}
	calling.Wait()
	stop()
	answering.Wait()
	return counts
}
