package network

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// limited starts a rig whose chat endpoint has limits, and whose clients are who
// X-User says.
func limited(t *testing.T, l core.Limits) *rig {
	return start(t, func(_ *Options, ep *Endpoint) {
		ep.Limits = core.NewLiveLimits(l)
		ep.Authenticator = badge{}
	})
}

// as connects as a user, and expects to be answered with status.
func (r *rig) as(user, status string) *client {
	r.t.Helper()
	c := r.dialTCP("chat")
	c.write([]byte(upgradeRequest("X-User: " + user + "\r\n")))
	if head := c.readResponse("HTTP/1.1 " + status); status != "101" && !strings.Contains(head, "Retry-After: 1\r\n") {
		r.t.Fatalf("no Retry-After in %q", head)
	}
	return c
}

func TestConnectionLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits core.Limits
		status string
		reason core.Reason
	}{
		{"of the endpoint", core.Limits{Connections: 2}, "503", core.ReasonOverload},
		{"of an address", core.Limits{ConnectionsPerAddress: 2}, "429", core.ReasonLimit},
		{"of a user", core.Limits{ConnectionsPerUser: 2}, "429", core.ReasonLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := limited(t, tt.limits)
			first := r.as("ann", "101")
			r.as("ann", "101")
			r.as("ann", tt.status)
			if got := r.stats.Rejected[tt.reason].Load(); got != 1 {
				t.Errorf("%d refusals are counted, want 1", got)
			}
			if tt.limits.ConnectionsPerUser > 0 {
				r.as("bob", "101")
			}
			// Who leaves makes room, who was refused takes none.
			_ = first.Close()
			eventually(t, "the first has left", func() bool { return r.stats.Closed[core.ReasonLost].Load() == 1 })
			r.as("ann", "101")
			r.as("ann", tt.status)
			r.eps["chat"].Limits.Set(core.Limits{})
			r.as("ann", "101")
		})
	}
}

// TestClientsWithoutName: they are not counted as one user.
func TestClientsWithoutName(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Limits = core.NewLiveLimits(core.Limits{ConnectionsPerUser: 1}) })
	for range 3 {
		r.dial("chat")
	}
}

// TestNobodySlipsIn: however many come at once, the limit holds, and each place that
// a refused upgrade took is free again.
func TestNobodySlipsIn(t *testing.T) {
	const limit, visitors = 10, 100
	r := limited(t, core.Limits{Connections: 2 * limit, ConnectionsPerAddress: limit, ConnectionsPerUser: limit})
	statuses := make(chan string, visitors)
	var done sync.WaitGroup
	for i := range visitors {
		done.Go(func() {
			c := r.dialTCP("chat")
			user := "X-User: ann\r\n"
			if i%2 == 0 {
				user = "" // denied, after its address was counted
			}
			_, _ = io.WriteString(c, upgradeRequest(user))
			b := make([]byte, 12)
			_, _ = io.ReadFull(c, b)
			statuses <- string(b[9:])
		})
	}
	done.Wait()
	got := map[string]int{}
	for range visitors {
		got[<-statuses]++
	}
	if got["101"] > limit || got["101"] == 0 || got["101"]+got["401"]+got["429"] != visitors {
		t.Fatalf("answers: %v", got)
	}
	ep := r.eps["chat"]
	eventually(t, "the refused have left", func() bool { return int(ep.open.Load()) == got["101"] })
	if n := ep.users.of("ann"); n != got["101"] {
		t.Errorf("ann is counted %d times, want %d", n, got["101"])
	}
	for range limit - got["101"] {
		r.as("ann", "101")
	}
	r.as("ann", "429")
}

// TestNothingIsCountedForEver: who has left is nowhere counted.
func TestNothingIsCountedForEver(t *testing.T) {
	r := limited(t, core.Limits{})
	var all []*client
	for _, user := range []string{"ann", "bob", "ann"} {
		all = append(all, r.as(user, "101"))
	}
	for _, c := range all {
		_ = c.Close()
	}
	ep := r.eps["chat"]
	eventually(t, "nobody is there", func() bool {
		return r.open.Load() == 0 && ep.open.Load() == 0 && ep.hosts.size()+ep.users.size()+r.admission.callers.size() == 0 &&
			r.admission.handshakes.Load() == 0
	})
}

func (h *headcount[K]) of(k K) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[k]
}

func (h *headcount[K]) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.n)
}

// TestHandshakesOfAllListeners: the bound is one for the process.
func TestHandshakesOfAllListeners(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = 1 })
	r.dialTCP("echo").write([]byte("GET"))
	eventually(t, "a visitor of the other listener is turned away", func() bool {
		return strings.HasPrefix(answer(t, r, "chat"), "HTTP/1.1 503")
	})
}

// answer connects, upgrades and returns all that is answered; "" if the connection is
// cut, and the first byte of a frame is not awaited.
func answer(t *testing.T, r *rig, endpoint string) string {
	t.Helper()
	nc, err := net.Dial("tcp", r.Addr(endpoint).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(nc, upgradeRequest())
	b := make([]byte, 512)
	n, _ := nc.Read(b)
	return string(b[:n])
}

func TestHandshakesPerAddress(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakesPerAddress = 2 })
	first := r.dialTCP("chat")
	first.write([]byte("GET"))
	r.dialTCP("chat").write([]byte("GET"))
	eventually(t, "two handshakes are under way", func() bool { return r.admission.handshakes.Load() == 2 })
	if got := answer(t, r, "echo"); !strings.HasPrefix(got, "HTTP/1.1 429") || !strings.Contains(got, "Retry-After") {
		t.Fatalf("a third of the address: %q", got)
	}
	if got := r.Stats().Rejected[core.ReasonLimit].Load(); got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
	_ = first.Close()
	eventually(t, "one has ended", func() bool { return r.admission.handshakes.Load() == 1 })
	r.dial("echo")
}

func TestHandshakeRate(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.HandshakeRate = core.Rate{Amount: 3, Per: time.Hour} })
	for range 3 {
		r.dial("echo")
	}
	if got := answer(t, r, "chat"); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After") {
		t.Fatalf("a fourth in the hour: %q", got)
	}
	if got := r.Stats().Rejected[core.ReasonRate].Load(); got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
	r.SetLimits(Limits{})
	r.dial("chat")
}

func TestMemoryWatermark(t *testing.T) {
	r := start(t, nil)
	old := r.dial("echo")
	eventually(t, "the memory is known", func() bool { used, _ := r.Memory(); return used > 0 })
	r.SetLimits(Limits{MemoryWatermark: 1})
	if got := answer(t, r, "chat"); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After") {
		t.Fatalf("over the watermark: %q", got)
	}
	if got := r.Stats().Rejected[core.ReasonMemory].Load(); got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
	old.send("still here")
	old.expect("still here")
	r.SetLimits(Limits{MemoryWatermark: 1 << 40})
	r.dial("chat")
}

// TestMemoryGauge: what is alive counts, garbage does not.
func TestMemoryGauge(t *testing.T) {
	const size = 64 << 20
	var g memoryGauge
	runtime.GC()
	g.look(0)
	before := g.used.Load()
	kept := make([]byte, size)
	g.look(before + size/2)
	if used := g.used.Load(); used < before+size/2 {
		t.Errorf("with what is alive: %d, before %d", used, before)
	}
	runtime.KeepAlive(kept)
	g.collected = time.Time{}
	runtime.GC()
	_ = make([]byte, size)
	g.look(before + size/2)
	if used := g.used.Load(); used > before+size/2 {
		t.Errorf("with garbage: %d, before %d", used, before)
	}
}

// TestFrontDoorForPlainHTTP: connections for plain HTTP are bounded too.
func TestPlainConnectionsAreBounded(t *testing.T) {
	r := start(t, func(o *Options, ep *Endpoint) { o.MaxHandshakes = 3; ep.Path = "/ws" })
	plain := func() *client {
		c := r.dialTCP("chat")
		c.write([]byte("GET /other HTTP/1.1\r\nHost: x\r\n\r\n"))
		return c
	}
	var idle []*client
	for range 3 {
		c := plain()
		c.readResponse("HTTP/1.1 404")
		idle = append(idle, c)
		eventually(t, "its handshake is over", func() bool { return r.admission.handshakes.Load() == 0 })
	}
	plain().readResponse("HTTP/1.1 503")
	r.dial("echo")
	_ = idle[0].Close()
	door := r.eps["chat"].door
	eventually(t, "one is closed", func() bool { return door.plain.open.Load() == 2 })
	plain().readResponse("HTTP/1.1 404")
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

func TestHostOf(t *testing.T) {
	same := [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"}, {"fe80::1%eth0", "fe80::2"}}
	for _, c := range same {
		if hostOf(netip.MustParseAddr(c[0])) != hostOf(netip.MustParseAddr(c[1])) {
			t.Errorf("%s and %s are two hosts", c[0], c[1])
		}
	}
	other := [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"::", "0.0.0.0"}, {"::1", "127.0.0.1"}}
	for _, c := range other {
		if hostOf(netip.MustParseAddr(c[0])) == hostOf(netip.MustParseAddr(c[1])) {
			t.Errorf("%s and %s are one host", c[0], c[1])
		}
	}
}

func TestOriginMatches(t *testing.T) {
	tests := []struct {
		allowed, origin string
		want            bool
	}{
		{"*", "https://a.example", true},
		{"https://a.example", "HTTPS://A.example", true},
		{"https://a.example", "http://a.example", false},
		{"https://a.example", "https://a.example:8443", false},
		{"https://a.example", "https://a.example.evil.org", false},
		{"null", "null", true},
		{"https://*.a.example", "https://www.A.example", true},
		{"https://*.a.example", "https://x.y.a.example", true},
		{"https://*.a.example", "https://a.example", false},
		{"https://*.a.example", "https://.a.example", false},
		{"https://*.a.example", "http://www.a.example", false},
		{"https://*.a.example", "https://www.a.example:8443", false},
		{"https://*.a.example", "https://evil.org/.a.example", false},
		{"https://*.a.example", "https://evil.org?.a.example", false},
		{"https://*.a.example", "https://user@x.a.example", false},
		{"https://*.a.example", "https://evila.example", false},
		{"https://*.a.example", "https://www.a.example.evil.org", false},
		{"https://*.a.example:8443", "https://www.a.example:8443", true},
		{"http://localhost:*", "http://localhost:3000", true},
		{"http://localhost:*", "http://localhost", false},
		{"http://localhost:*", "http://localhost.evil.org:80", false},
		{"http://localhost:*", "http://localhost:80@evil.org", false},
	}
	for _, tt := range tests {
		if got := originMatches(tt.allowed, tt.origin); got != tt.want {
			t.Errorf("%s allows %s: %v", tt.allowed, tt.origin, got)
		}
	}
}

// The rates of what a client sends: who is faster waits, and loses nothing.
func TestThrottle(t *testing.T) {
	const texts = 15
	ping := func(c *client, i int) {
		c.write(masked(ws.OpPing, true, string(rune('a'+i))))
		if f := c.read(); f.Header.OpCode != ws.OpPong {
			t.Fatalf("got %v, want pong", f.Header.OpCode)
		}
	}
	echo := func(c *client, i int) {
		text := string(rune('a'+i)) + strings.Repeat("x", 1000)
		c.send("echo " + text)
		c.expect(text)
	}
	tests := []struct {
		name   string
		limits core.Limits
		send   func(*client, int)
		least  time.Duration
	}{
		{"messages", core.Limits{Messages: core.Rate{Amount: 20, Per: time.Second, Burst: 5}}, echo, 400 * time.Millisecond},
		{"pings", core.Limits{Messages: core.Rate{Amount: 20, Per: time.Second, Burst: 5}}, ping, 400 * time.Millisecond},
		{"bytes", core.Limits{Bytes: core.Rate{Amount: 20_000, Per: time.Second, Burst: 5000}}, echo, 400 * time.Millisecond},
		{"neither", core.Limits{Messages: core.Rate{Amount: 1000, Per: time.Second}, Bytes: core.Rate{Amount: 1 << 30, Per: time.Second}}, echo, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Limits = core.NewLiveLimits(tt.limits) })
			c := r.dial("chat")
			begin := time.Now()
			for i := range texts {
				tt.send(c, i)
			}
			took := time.Since(begin)
			if took < tt.least {
				t.Errorf("all was read in %s, want at least %s", took, tt.least)
			}
			if throttled := r.stats.Throttled.Load() > 0; throttled != (tt.least > 0) {
				t.Errorf("throttled: %v", throttled)
			}
		})
	}
}

// TestThrottledInput: all that a client sends at once comes out in order, in time, and
// when its rate is lifted meanwhile; others do not wait.
func TestThrottledInput(t *testing.T) {
	const texts = 12
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 1, Per: time.Minute, Burst: 3}})
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
		t.Fatalf("more was read than may come in a minute: %d bytes, %v", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
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

// TestThrottledAtAnEnd: a goodbye reaches who waits, and its time does not run out
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
	eventually(t, "it is gone", func() bool { return r.stats.Open.Load() == 0 })
}

// TestIdleAfterThrottle: the timers go on when the wait is over.
func TestIdleAfterThrottle(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 4, Per: time.Second, Burst: 1}})
		ep.IdleTimeout = time.Second
	})
	c := r.dial("chat")
	for range 3 {
		c.send("echo x")
	}
	for range 3 {
		c.expect("x")
	}
	c.expectClose(1001)
	if r.stats.Closed[core.ReasonIdle].Load() != 1 {
		t.Error("it was not closed as idle")
	}
}
