package events

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// closeNow closes a sink, and drops what waits.
func closeNow(s *Sink) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Close(ctx)
}

// closeInPeace closes a sink when all is sent.
func closeInPeace(t *testing.T, s *Sink) {
	ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
	defer cancel()
	s.Close(ctx)
}

// status answers with a status, and then takes all from the n-th request on.
func status(code, from int, header ...string) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < from {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
}

// What a receiver reads of each moment.
func TestEvents(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 5e6, time.FixedZone("x", 3600))
	of := func(o core.Observation) core.Observation {
		o.At, o.Endpoint, o.Connection, o.Remote, o.User = at, web, 7, "192.0.2.1:9", "ann"
		return o
	}
	const who = `"at":"2026-05-01T11:00:00.005Z","endpoint":"web","protocol":"vws","connection":7,"remote":"192.0.2.1:9","user":"ann"`
	for _, c := range []struct {
		o    core.Observation
		want string
	}{
		{of(core.Observation{Moment: core.MomentConnected}), `{"id":"x","type":"connected",` + who + `}`},
		{of(core.Observation{Moment: core.MomentDisconnected, Opened: at.Add(-time.Second), Reason: core.ReasonNormal}), `{"id":"x","type":"disconnected",` + who + `,"opened":"2026-05-01T10:59:59.005Z","reason":"normal"}`},
		{of(core.Observation{Moment: core.MomentSubscribed, Topic: "a/#"}), `{"id":"x","type":"subscribed",` + who + `,"topic":"a/#"}`},
		{of(core.Observation{Moment: core.MomentUnsubscribed}), `{"id":"x","type":"unsubscribed",` + who + `,"all":true}`},
		{of(core.Observation{Moment: core.MomentOffered, Channel: "c", Services: []string{"s"}, More: 2}), `{"id":"x","type":"offered",` + who + `,"channel":"c","services":["s"],"more":2}`},
		{of(core.Observation{Moment: core.MomentWithdrawn, Services: []string{"s"}, Reason: core.ReasonTaken, Text: "taken"}), `{"id":"x","type":"withdrawn",` + who + `,"services":["s"],"reason":"taken","message":"taken"}`},
		{of(core.Observation{Moment: core.MomentSessionOpened, Session: "key", Restored: true}), `{"id":"x","type":"session_opened",` + who + `,"session":"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683","restored":true}`},
		{core.Observation{Moment: core.MomentSessionClosed, At: at, Session: "key"}, `{"id":"x","type":"session_closed","at":"2026-05-01T11:00:00.005Z","session":"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}`},
		{of(core.Observation{Moment: core.MomentRefused, Verb: core.Publish, Topic: "a", Reason: core.ReasonDenied, Text: "no", LeftOut: 3}), `{"id":"x","type":"refused",` + who + `,"verb":"publish","topic":"a","reason":"denied","message":"no","left_out":3}`},
		{
			core.Observation{Moment: core.MomentTurnedAway, At: at, Endpoint: web, Remote: "192.0.2.1:9", Reason: core.ReasonOrigin, Text: "no"},
			`{"id":"x","type":"turned_away","at":"2026-05-01T11:00:00.005Z","endpoint":"web","protocol":"vws","remote":"192.0.2.1:9","reason":"origin","message":"no"}`,
		},
	} {
		got, err := json.Marshal(newEvent("x", &c.o))
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
		}
	}
}

// A batch has an id of its own, its events have theirs, and only what is wanted is in it.
func TestBatches(t *testing.T) {
	r := newReceiver(t, nil)
	o := options(r.server.URL)
	o.Batch, o.Moments, o.Endpoints = 2, []core.Moment{core.MomentSubscribed, core.MomentSessionClosed}, []string{"web"}
	s := idleSource(t, o)
	if s.Wants(core.MomentConnected) || !s.Wants(core.MomentSubscribed) {
		t.Error("it wants other moments than it is to")
	}
	s.Observe(&core.Observation{Moment: core.MomentConnected, Endpoint: web})
	s.Observe(&core.Observation{Moment: core.MomentSubscribed, Endpoint: &core.Endpoint{Name: "other"}})
	s.subscribe("a", "b", "c")
	s.Observe(&core.Observation{Moment: core.MomentSessionClosed})
	s.subscribe("d")
	s.sink.Start()
	r.gets("a b c  d")
	closeInPeace(t, s.sink)
	var ids, events []string
	for _, b := range r.batches {
		if b.Run != s.run || b.Node != "n" || b.Lost != 0 || len(b.Events) > 2 {
			t.Errorf("batch %+v", b)
		}
		ids = append(ids, strings.TrimPrefix(b.ID, s.run))
		for _, e := range b.Events {
			events = append(events, strings.TrimPrefix(e.ID, s.run))
		}
	}
	if !slices.Equal(ids, []string{"-1-b1", "-1-b2", "-1-b3"}) || !slices.Equal(events, []string{"-1-1", "-1-2", "-1-3", "-1-4", "-1-5"}) {
		t.Errorf("batches %q, events %q", ids, events)
	}
	if n := s.sink.Stats().Sent.Load(); n != 5 {
		t.Errorf("%d counted as sent", n)
	}
}

// What the server did not take is sent again: the same batch under the same id, and in order.
func TestRetries(t *testing.T) {
	for name, answer := range map[string]func(int, http.ResponseWriter, *http.Request){
		"500":      status(500, 4),
		"503":      status(503, 4, "Retry-After", "0"),
		"429":      status(429, 4),
		"408":      status(408, 4),
		"redirect": status(307, 4, "Location", "/elsewhere"),
		"cut": func(n int, w http.ResponseWriter, _ *http.Request) {
			if n < 4 {
				panic(http.ErrAbortHandler)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, answer)
			o := options(r.server.URL)
			o.Batch = 2
			s := idleSource(t, o)
			s.subscribe("a", "b", "c")
			s.sink.Start()
			r.gets("a b c")
			closeInPeace(t, s.sink)
			first := s.sink.prefix + "b1"
			if want := []string{first, first, first, first, s.sink.prefix + "b2"}; !slices.Equal(r.ids, want) {
				t.Errorf("requests %q, want %q", r.ids, want)
			}
			st := s.sink.Stats()
			if st.Sent.Load() != 3 || st.Retries.Load() != 3 || s.sink.dropped() != 0 || st.Failing.Load() || s.sink.Health() != nil {
				t.Errorf("%d sent, %d again, %d dropped, %v", st.Sent.Load(), st.Retries.Load(), s.sink.dropped(), s.sink.Health())
			}
		})
	}
}

// A server that asks to be left alone is, and one that does not answer is given up after the timeout.
func TestPatience(t *testing.T) {
	t.Run("Retry-After", func(t *testing.T) {
		r := newReceiver(t, status(429, 2, "Retry-After", "1"))
		s := newSource(t, options(r.server.URL))
		s.subscribe("a")
		r.gets("a")
		if d := r.times[1].Sub(r.times[0]); d < 900*time.Millisecond {
			t.Errorf("asked again after %v", d)
		}
	})
	t.Run("hang", func(t *testing.T) {
		release := make(chan struct{})
		r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.(*recorder).status = 0 // it takes nothing, and says nothing
				<-release
			}
		})
		o := options(r.server.URL)
		o.Timeout = 50 * time.Millisecond
		s := newSource(t, o)
		s.subscribe("a")
		coretest.Eventually(t, "it is sent again", func() bool { return r.requests() > 1 })
		o.Timeout = coretest.Patience
		s.sink.Configure(o)
		coretest.Eventually(t, "it is taken", func() bool { return strings.HasPrefix(r.topics(), "a") })
		close(release)
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "soon": 0, "99999999999999999999": 0, "18446744073709551615": longestAfter,
		"Fri, 01 May 2026 12:00:09 GMT": 9 * time.Second, "Fri, 01 May 2026 11:00:00 GMT": 0, "Fri, 01 May 2027 12:00:00 GMT": longestAfter,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// What the server refuses is dropped, and counted; the next batch says how many.
func TestRefusedEvents(t *testing.T) {
	r := newReceiver(t, status(401, 2))
	o := options(r.server.URL)
	o.Batch = 2
	s := idleSource(t, o)
	s.subscribe("a", "b", "c", "d")
	s.sink.Start()
	r.gets("c d")
	coretest.Eventually(t, "it is well again", func() bool { return s.sink.Health() == nil })
	if n := s.sink.Stats().Dropped[core.ReasonDenied].Load(); n != 2 || r.requests() != 2 || r.batches[0].Lost != 2 {
		t.Errorf("%d dropped in %d requests; the server was told of %d", n, r.requests(), r.batches[0].Lost)
	}
	s.subscribe("e")
	r.gets("c d e")
	if r.batches[1].Lost != 0 {
		t.Errorf("the server was told again of %d", r.batches[1].Lost)
	}
}

// A batch that is not taken for too long is dropped, and the next one is tried.
func TestExpiredEvents(t *testing.T) {
	r := newReceiver(t, status(500, 1<<30))
	o := options(r.server.URL)
	o.Batch, o.RetryFor = 1, time.Millisecond
	s := newSource(t, o)
	s.subscribe("a", "b")
	coretest.Eventually(t, "both are dropped", func() bool { return s.sink.Stats().Dropped[core.ReasonTimeout].Load() == 2 })
	if s.sink.Health() == nil || !s.sink.Stats().Failing.Load() {
		t.Error("it is said to be well")
	}
}

// A queue takes in what it may, and counts the rest, whose numbers the server misses.
func TestFullQueue(t *testing.T) {
	r := newReceiver(t, nil)
	o := options(r.server.URL)
	o.Queue = 3 * (overhead + 1)
	s := idleSource(t, o)
	s.subscribe("a", "b", "c", "d", "e")
	st := s.sink.Stats()
	if st.Queued.Load() != 3 || st.QueuedBytes.Load() != o.Queue || st.Dropped[core.ReasonOverload].Load() != 2 {
		t.Errorf("%d events, %d bytes, %d dropped", st.Queued.Load(), st.QueuedBytes.Load(), st.Dropped[core.ReasonOverload].Load())
	}
	s.sink.Start()
	r.gets("a b c")
	coretest.Eventually(t, "there is room", func() bool { return st.Queued.Load() == 0 && st.Sent.Load() == 3 })
	s.subscribe("f")
	r.gets("a b c f")
	closeInPeace(t, s.sink)
	last := r.batches[len(r.batches)-1]
	if id := last.Events[0].ID; id != s.sink.prefix+"6" || r.batches[0].Lost != 2 || last.Lost != 0 || st.QueuedBytes.Load() != 0 {
		t.Errorf("the last one is %s; the server was told of %d and %d", id, r.batches[0].Lost, last.Lost)
	}
}

// Long texts make short batches: what is taken at once is bounded by its size too.
func TestBatchBytes(t *testing.T) {
	r := newReceiver(t, nil)
	o := options(r.server.URL)
	o.Queue = 64 << 20
	s := idleSource(t, o)
	long := strings.Repeat("x", maxBatch/3)
	s.subscribe(long, long, long, long, strings.Repeat("y", 2*maxBatch), "z")
	s.sink.Start()
	closeInPeace(t, s.sink)
	var sizes []int
	for _, b := range r.batches {
		sizes = append(sizes, len(b.Events))
	}
	if !slices.Equal(sizes, []int{2, 2, 1, 1}) {
		t.Errorf("batches of %d events", sizes)
	}
}

// The queue keeps order while it is filled and emptied, and lets go of what a storm has left behind.
func TestQueueOrder(t *testing.T) {
	q := queue{stats: new(core.SinkStats), wake: make(chan struct{}, 1)}
	next, want := 0, uint64(1)
	for round := range 200 {
		for range round * 7 % 31 {
			next++
			q.put(&core.Observation{Topic: fmt.Sprint(next)}, 1<<30)
		}
		for _, w := range q.take(round*5%23, 1<<30) {
			if w.number != want || w.of.Topic != fmt.Sprint(want) {
				t.Fatalf("got %d %s, want %d", w.number, w.of.Topic, want)
			}
			want++
		}
	}
	for range 5000 {
		q.put(&core.Observation{}, 1<<30)
	}
	for len(q.take(100, 1<<30)) > 0 {
	}
	if cap(q.events) > 1024 || q.size != 0 || q.stats.Queued.Load() != 0 {
		t.Errorf("room for %d events, %d bytes, %d queued", cap(q.events), q.size, q.stats.Queued.Load())
	}
}

// Whoever observes is not kept waiting by a server that is away, and what waits is sent when it comes back.
func TestDownAndBack(t *testing.T) {
	port := coretest.FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	s := newSource(t, options("http://"+address+"/events"))
	s.subscribe("a")
	coretest.Eventually(t, "it is away", func() bool { return s.sink.Health() != nil })
	s.subscribe("b", "c")
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t}
	r.server = &httptest.Server{Listener: ln, Config: &http.Server{Handler: r}}
	r.server.Start()
	defer r.server.Close()
	r.gets("a b c")
	coretest.Eventually(t, "it is well again", func() bool { return s.sink.Health() == nil })
}

// A sink that is closed sends what waits, or drops it when the time is up; either is counted.
func TestClose(t *testing.T) {
	none := coretest.Leftovers(t)
	t.Run("in time", testCloseInTime)
	t.Run("too late", testCloseTooLate)
	none()
}

func testCloseInTime(t *testing.T) {
	r := newReceiver(t, nil)
	s := idleSource(t, options(r.server.URL))
	s.subscribe("a", "b")
	s.sink.Start()
	closeInPeace(t, s.sink)
	if got := r.topics(); got != "a b" {
		t.Errorf("got %q", got)
	}
	s.subscribe("c")
	if n := s.sink.Stats().Dropped[core.ReasonDrain].Load(); n != 1 {
		t.Errorf("%d dropped, want that which came too late", n)
	}
}

func testCloseTooLate(t *testing.T) {
	bad := newReceiver(t, status(500, 1<<30))
	o := options(bad.server.URL)
	o.Batch = 2
	s := newSource(t, o)
	s.sink.first = time.Hour // until it is closed; nobody has read it yet
	s.subscribe("a", "b", "c")
	coretest.Eventually(t, "it is asked", func() bool { return bad.requests() == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.sink.Close(ctx)
	}()
	coretest.Eventually(t, "it is asked once more", func() bool { return bad.requests() == 2 })
	cancel()
	coretest.Receive(t, "the end", done)
	if n := s.sink.Stats().Dropped[core.ReasonDrain].Load(); n != 3 || s.sink.Stats().Queued.Load() != 0 {
		t.Errorf("%d dropped, %d queued", n, s.sink.Stats().Queued.Load())
	}
}

// Another address is used for what waits, at once.
func TestConfigure(t *testing.T) {
	bad, good := newReceiver(t, status(503, 1<<30, "Retry-After", "300")), newReceiver(t, nil)
	s := newSource(t, options(bad.server.URL))
	s.subscribe("a")
	coretest.Eventually(t, "it is not taken", func() bool { return s.sink.Health() != nil })
	s.sink.Configure(options(good.server.URL))
	good.gets("a")
}

func TestSecret(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 24)
	for text, want := range map[string]string{
		" sixteen bytes .. \n":                             "sixteen bytes ..",
		"whsec_" + base64.StdEncoding.EncodeToString(long): string(long),
		"whsec_!":   "is no base64 behind whsec_",
		"too short": "must have at least 16 bytes",
		"":          "must have at least 16 bytes",
	} {
		got, err := Secret(text)
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// BenchmarkObserve is what an event costs the loop that it comes from, while a server hangs and the queue is full.
func BenchmarkObserve(b *testing.B) {
	h := NewHub("n")
	s := NewSink(h, Options{URL: "http://127.0.0.1:9/", Secret: []byte(secret), Queue: 16 << 20}, new(core.SinkStats), slog.New(slog.DiscardHandler))
	h.Use([]*Sink{s}, nil)
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(&core.Observation{Moment: core.MomentSubscribed, Endpoint: web, Connection: 7, Remote: "192.0.2.1:9", Topic: "news/today"})
	}
}
