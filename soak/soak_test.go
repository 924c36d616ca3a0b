package soak

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

var calls = flag.Int("calls", 20_000, "how many calls are made")

// callers is how many connections of each format call, answerers how many serve.
const callers, answerers = 4, 2

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

// TestSoak makes calls, and wants all of them ended and nothing left.
func TestSoak(t *testing.T) {
	b := start(t)
	b.handle()
	// The first round makes what stays: connections to the metrics page, pools, the
	// buffers of the loops.
	b.round(t, 10_000)
	before := b.settled(t)
	began := time.Now()
	told := b.round(t, *calls)
	took := time.Since(began)
	after := b.settled(t)
	t.Logf("%d calls in %v: %d ended, %d abandoned by callers that left", *calls, took.Round(time.Millisecond),
		told.ended.Load(), told.abandoned.Load())
	for _, reason := range []string{"timeout", "gone", "no_service", "answerer"} {
		n := b.metric(t, "polywire_calls_failed_total", reason)
		t.Logf("%d failed: %s", n, reason)
		if n == 0 {
			t.Errorf("no call failed with %s: the soak is too mild", reason)
		}
	}
	if n := b.metric(t, "polywire_messages_refused_total", "not_asked"); n == 0 {
		t.Error("no forged answer was refused: the soak is too mild")
	}
	if sum := told.ended.Load() + told.abandoned.Load(); sum != int64(*calls) {
		t.Errorf("%d calls ended or were abandoned, want %d", sum, *calls)
	}
	t.Logf("before: %v; after: %v", before, after)
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
	}
	if grown := after.heap - before.heap; grown > maxGrowth {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if after.files > before.files {
		t.Errorf("%d open files, %d before", after.files, before.files)
	}
}

// maxGrowth is by how many bytes the heap may differ after a round: that much it does
// between two garbage collections, whatever the number of calls.
const maxGrowth = 1 << 20

// broker is a broker that runs in this process.
type broker struct {
	*polywire.Broker
	urls map[string]string
}

// start runs a broker until the test ends.
func start(t *testing.T) *broker {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{File: file}, polywire.Protocols())
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{urls: make(map[string]string)}
	if b.Broker, err = polywire.New(cfg, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ending the broker: %v", err)
		}
	})
	select {
	case err := <-ended:
		ended <- err
		t.FailNow()
	case <-b.Ready():
	}
	for _, ep := range b.Endpoints() {
		b.urls[ep.Name] = ep.URL
	}
	return b
}

// handle has a Go handler answer, which now and then waits for longer than its caller.
func (b *broker) handle() {
	b.Handle("go/m", func(ctx context.Context, c core.Invocation) (core.Payload, error) {
		if rand.IntN(500) == 0 {
			<-ctx.Done()
		}
		return c.Payload, ctx.Err()
	})
}

// round has clients make n calls. When it returns they have left.
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

// state is what there is when nobody is connected.
type state struct {
	goroutines, files int
	heap              int64
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB of heap", s.goroutines, s.files, s.heap>>10)
}

// settled waits until the broker has no call and no connection, and measures what is
// left. Goroutines and files that are about to end are given the time.
func (b *broker) settled(t *testing.T) state {
	t.Helper()
	for _, metric := range []string{"polywire_calls_outstanding", "polywire_connections_open", "polywire_topics"} {
		for deadline := time.Now().Add(patience); b.metric(t, metric, "") != 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is %d", metric, b.metric(t, metric, ""))
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	least := measure(t)
	for range 50 {
		time.Sleep(10 * time.Millisecond)
		now := measure(t)
		least.goroutines = min(least.goroutines, now.goroutines)
		least.files = min(least.files, now.files)
		least.heap = min(least.heap, now.heap)
	}
	return least
}

func measure(t *testing.T) state {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return state{goroutines: runtime.NumGoroutine(), files: len(files), heap: int64(m.HeapAlloc)}
}

// metric returns the sum of a metric over all endpoints, for one reason or, if that is
// empty, for all.
func (b *broker) metric(t *testing.T, name, reason string) int64 {
	t.Helper()
	response, err := http.Get(b.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	series := regexp.MustCompile(`(?m)^` + name + `(\{[^}]*\})? (\S+)$`)
	sum := 0.0
	for _, match := range series.FindAllStringSubmatch(string(page), -1) {
		if reason == "" || strings.Contains(match[1], `reason="`+reason+`"`) {
			value, err := strconv.ParseFloat(match[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += value
		}
	}
	return int64(sum)
}
