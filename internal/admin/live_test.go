package admin_test

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/admin"
)

// watch opens a stream of samples, and returns a function that reads the next one; false at its end.
func watch(t *testing.T, s *admin.Server, token string) (*http.Response, func() (admin.Live, bool)) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return response, func() (one admin.Live, ok bool) {
		t.Helper()
		for lines.Scan() {
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				if err := json.Unmarshal([]byte(data), &one); err != nil {
					t.Fatal(err)
				}
				return one, true
			}
		}
		return one, false
	}
}

// A stream shows what the counters say, again and again, and the times of what was measured since.
func TestLive(t *testing.T) {
	src := whole()
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	response, next := watch(t, s, "")
	first, ok := next()
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" || !ok {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	protocol := func(l admin.Live) *admin.LiveProtocol {
		t.Helper()
		for i := range l.Protocols {
			if l.Protocols[i].Protocol == "wubsub" {
				return &l.Protocols[i]
			}
		}
		t.Fatalf("%+v", l)
		return nil
	}
	if p := protocol(first); p.Open != 2 || p.MessagesIn != 4 || p.MessagesOut != 6 || p.Published != 8 || p.Dropped != 13 || p.P99 != nil || first.Version != "v1.2.3" || first.Topics != 19 {
		t.Errorf("%+v %+v", first, p)
	}
	one := src.Endpoints()[0].Stats
	one.MessagesIn.Add(1)
	one.Unwritable.Inc("vws")
	for range 100 {
		one.Delays.Observe(3 * time.Millisecond)
	}
	coretest.Eventually(t, "a sample has what came since", func() bool {
		l, ok := next()
		if !ok {
			t.Fatal("the stream has ended")
		}
		p := protocol(l)
		return p.MessagesIn == 5 && p.Untranslated["vws"] == 1 && p.P50 != nil && *p.P50 >= 0.003 && *p.P50 < 0.004
	})
}

// Streams are for readers, and bounded; whoever is too many is told so, and one that ends makes room.
func TestLiveBounds(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	var samples atomic.Int64
	topics := src.Topics
	src.Topics = func() int { samples.Add(1); return topics() }
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	for token, want := range map[string]int{"": 401, "publ1sh": 403} {
		if response, _ := watch(t, s, token); response.StatusCode != want {
			t.Errorf("with %q: %d", token, response.StatusCode)
		}
	}
	if got := samples.Load(); got != 0 {
		t.Errorf("%d samples without a reader", got)
	}
	var open []*http.Response
	for range 64 {
		response, next := watch(t, s, "r3ad")
		if _, ok := next(); !ok || response.StatusCode != 200 {
			t.Fatalf("stream %d: %d", len(open), response.StatusCode)
		}
		open = append(open, response)
	}
	if response, _ := watch(t, s, "r3ad"); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", response.StatusCode)
	}
	_ = open[0].Body.Close()
	coretest.Eventually(t, "one that ends makes room", func() bool {
		response, _ := watch(t, s, "r3ad")
		return response.StatusCode == 200
	})
}

// The end of the server ends streams.
func TestLiveEnds(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", whole(), slog.New(slog.DiscardHandler))
	_, next := watch(t, s, "")
	next()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for ok := true; ok; {
		_, ok = next()
	}
}
