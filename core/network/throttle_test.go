package network

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// The rate limits of a client's input: a faster client waits, and loses nothing.
func TestThrottle(t *testing.T) {
	const texts = 9
	text := func(i int) string { return string(rune('a'+i)) + strings.Repeat("x", 1000) }
	ping := func(i int) []byte { return masked(ws.OpPing, true, string(rune('a'+i))) }
	echo := func(i int) []byte { return masked(ws.OpText, true, "echo "+text(i)) }
	tests := []struct {
		name   string
		limits core.Limits
		frame  func(int) []byte
		least  time.Duration
	}{
		{"messages", core.Limits{Messages: core.Rate{Amount: 5, Per: time.Second}}, echo, 500 * time.Millisecond},
		{"pings", core.Limits{Messages: core.Rate{Amount: 5, Per: time.Second}}, ping, 500 * time.Millisecond},
		{"bytes", core.Limits{Bytes: core.Rate{Amount: 5000, Per: time.Second}}, echo, 500 * time.Millisecond},
		{"neither", core.Limits{Messages: core.Rate{Amount: 1000, Per: time.Second}, Bytes: core.Rate{Amount: 1 << 30, Per: time.Second}}, echo, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Limits = core.NewLiveLimits(tt.limits) })
			c := r.dial("chat")
			hears := func(i int) {
				want := text(i)
				if tt.name == "pings" {
					want = want[:1]
				}
				if got := string(c.read().Payload); got != want {
					t.Fatalf("got %.10q, want %.10q", got, want)
				}
			}
			// All but the last at once: a client that a busy machine lets say one thing after
			// the other may not be too fast. The last once all others are answered: bytes count
			// when they are read, and they may be read in any number of pieces.
			var all []byte
			for i := range texts {
				all = append(all, tt.frame(i)...)
			}
			begin := time.Now()
			c.write(all)
			for i := range texts {
				hears(i)
			}
			c.write(tt.frame(texts))
			hears(texts)
			if took := time.Since(begin); took < tt.least {
				t.Errorf("all was read in %s, want at least %s", took, tt.least)
			}
			if throttled := r.stats.Throttled.Load() > 0; throttled != (tt.least > 0) {
				t.Errorf("throttled: %v", throttled)
			}
		})
	}
}

// TestThrottledInput: everything that a client sends at once comes out in order, in time, and
// also when its rate is lifted meanwhile; others do not wait.
func TestThrottledInput(t *testing.T) {
	const texts = 12
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 1, Per: time.Hour, Burst: 3}})
	})
	c := r.dial("chat")
	var all []byte
	for i := range texts {
		all = append(all, masked(ws.OpText, true, "echo "+string(rune('a'+i)))...)
	}
	c.write(all)
	for i := range 3 {
		c.expect(string(rune('a' + i)))
	}
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		t.Fatalf("more was read than may come in an hour: %d bytes, %v", n, err)
	}
	_ = c.SetReadDeadline(coretest.Deadline())
	other := r.dial("chat")
	other.send("echo other")
	other.expect("other")
	// The client can leave while it waits.
	waiting := r.dial("chat")
	waiting.write(all)
	for i := range 3 {
		waiting.expect(string(rune('a' + i)))
	}
	_ = waiting.Close()
	eventually(t, "who waited has left", func() bool { return r.stats.Closed[core.ReasonLost].Load() == 1 })
}

// TestThrottledAtAnEnd: a goodbye reaches a throttled client, and its time does not run out
// later than that of others.
func TestThrottledAtAnEnd(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 1, Per: time.Hour}})
	})
	c := r.dial("chat")
	c.send("echo one")
	c.expect("one")
	r.hub.newest().Close(core.ReasonDrain)
	c.expectClose(1001)
	c.write(masked(ws.OpClose, true, "\x03\xe9"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the handshake: %v, want EOF", err)
	}
	_ = c.Close()
	eventually(t, "it is gone", func() bool { return r.stats.Open.Load() == 0 })
}

// TestIdleAfterThrottle: the timers continue when the wait is over.
func TestIdleAfterThrottle(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 4, Per: time.Second, Burst: 1}})
		ep.Settings.IdleTimeout = time.Second
	})
	c := r.dial("chat")
	c.write(bytes.Repeat(masked(ws.OpText, true, "echo x"), 3))
	for range 3 {
		c.expect("x")
	}
	c.expectClose(1001)
	if r.stats.Closed[core.ReasonIdle].Load() != 1 {
		t.Error("it was not closed as idle")
	}
}

// TestThrottledStream: a client that sends a second's worth of input at once is served in
// not much more than a second, instead of one message per second.
func TestThrottledStream(t *testing.T) {
	const texts = 200
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: texts, Per: time.Second, Burst: 2}})
		ep.Settings.IdleTimeout = time.Hour
	})
	c := r.dial("chat")
	began := time.Now()
	c.write([]byte(strings.Repeat(string(masked(ws.OpText, true, "echo x")), texts)))
	for range texts {
		c.expect("x")
	}
	if took := time.Since(began); took < 800*time.Millisecond || took > texts*time.Second/2 {
		t.Errorf("a second's worth took %s", took)
	}
}

// TestThrottledAtOnce: at most one burst comes at once. Bytes are counted when they are read,
// so that the last read may take more than is left.
func TestThrottledAtOnce(t *testing.T) {
	text := strings.Repeat("x", 1000)
	tests := []struct {
		name   string
		limits core.Limits
		frame  []byte
		most   int
	}{
		{"messages", core.Limits{Messages: core.Rate{Amount: 3, Per: time.Hour}}, masked(ws.OpText, true, "echo x"), 3},
		{"pings", core.Limits{Messages: core.Rate{Amount: 3, Per: time.Hour}}, masked(ws.OpPing, true, "x"), 3},
		{"bytes", core.Limits{Bytes: core.Rate{Amount: 10_000, Per: time.Hour}}, masked(ws.OpText, true, "echo "+text), (10_000+readAtOnce)/1000 + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Limits = core.NewLiveLimits(tt.limits) })
			c := r.dial("chat")
			c.write(bytes.Repeat(tt.frame, 60))
			eventually(t, "the client is throttled", func() bool { return r.stats.Throttled.Load() > 0 })
			r.hub.newest().Send(core.Event{Kind: core.Pong, Ref: []byte("that is all")})
			got := 0
			for string(c.read().Payload) != "that is all" {
				got++
			}
			if got == 0 || got > tt.most {
				t.Errorf("%d answers, want at most %d", got, tt.most)
			}
		})
	}
}

func TestBucket(t *testing.T) {
	rate := core.Rate{Amount: 10, Per: time.Second}
	ms := time.Millisecond
	type step struct {
		at   time.Duration
		n    int
		wait time.Duration // after it
	}
	tests := []struct {
		name  string
		rate  core.Rate
		steps []step
	}{
		{"full at first", rate, []step{{0, 9, 0}, {0, 1, 100 * ms}}},
		{"steady", rate, []step{{0, 10, 100 * ms}, {100 * ms, 1, 100 * ms}, {200 * ms, 1, 100 * ms}}},
		{"a pause saves up one burst at most", rate, []step{{0, 10, 100 * ms}, {time.Hour, 9, 0}, {time.Hour, 1, 100 * ms}}},
		{"debt is paid off", rate, []step{{0, 30, 2100 * ms}, {time.Second, 0, 1100 * ms}, {2 * time.Second, 0, 100 * ms}}},
		{"small burst", core.Rate{Amount: 10, Per: time.Second, Burst: 2}, []step{{0, 2, 100 * ms}, {time.Second, 1, 0}, {time.Second, 1, 100 * ms}}},
		{"big burst", core.Rate{Amount: 60, Per: time.Minute, Burst: 100}, []step{{0, 99, 0}, {0, 1, time.Second}}},
		{"a burst is no less than a tick", core.Rate{Amount: 1000, Per: time.Second, Burst: 1}, []step{{0, 99, 0}, {0, 1, ms}}},
		{"many bytes", core.Rate{Amount: 1 << 40, Per: time.Second}, []step{{0, 1 << 40, 0}, {0, 1 << 40, time.Second}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			for i, s := range tt.steps {
				b.take(tt.rate, s.at, s.n)
				if got := max(b.wait(tt.rate, s.at), 0); got != s.wait {
					t.Fatalf("step %d: wait %s, want %s", i, got, s.wait)
				}
			}
		})
	}
}
