package network

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// limited starts a rig whose chat endpoint has limits, and whose clients are the users
// that X-User names.
func limited(t *testing.T, l core.Limits) *rig {
	return start(t, func(_ *Options, ep *Endpoint) {
		ep.Limits = core.NewLiveLimits(l)
		ep.Authenticator = badge{}
	})
}

// as connects as a user, and expects status as the answer.
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
			// A client that leaves makes room; a refused one takes none.
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

// TestNobodySlipsIn: the limit holds however many come at once, and each place that
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
	here := core.HostOf(netip.MustParseAddr("127.0.0.1"))
	eventually(t, "the refused have left", func() bool { return ep.hosts.of(here) == got["101"] })
	if n := int(ep.open.Load()); n != got["101"] {
		t.Errorf("%d connections are counted, want %d", n, got["101"])
	}
	if n := ep.users.of("ann"); n != got["101"] {
		t.Errorf("ann is counted %d times, want %d", n, got["101"])
	}
	for range limit - got["101"] {
		r.as("ann", "101")
	}
	r.as("ann", "429")
}

// TestNothingIsCountedForEver: clients that have left are counted nowhere.
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

// TestHandshakesOfAllListeners: the bound holds for the whole process.
func TestHandshakesOfAllListeners(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = 1 })
	r.dialTCP("echo").write([]byte("GET"))
	eventually(t, "a handshake is under way", func() bool { return r.admission.handshakes.Load() == 1 })
	if got := answer(t, r, "chat"); !strings.HasPrefix(got, "HTTP/1.1 503") {
		t.Errorf("a visitor of the other listener: %q", got)
	}
}

// answer connects, upgrades and returns the whole answer; "" if the connection is
// cut. It does not wait for the first byte of a frame.
func answer(t *testing.T, r *rig, endpoint string) string {
	t.Helper()
	nc, err := net.Dial("tcp", r.Addr(endpoint).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(coretest.Deadline())
	_, _ = io.WriteString(nc, upgradeRequest())
	b := make([]byte, 512)
	n, _ := nc.Read(b)
	return string(b[:n])
}

func TestHandshakesPerAddress(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakesPerAddress = 2 })
	underWay := func() int { return r.admission.callers.of(core.HostOf(netip.MustParseAddr("127.0.0.1"))) }
	first := r.dialTCP("chat")
	first.write([]byte("GET"))
	r.dialTCP("chat").write([]byte("GET"))
	eventually(t, "two handshakes are under way", func() bool { return underWay() == 2 })
	if got := answer(t, r, "echo"); !strings.HasPrefix(got, "HTTP/1.1 429") || !strings.Contains(got, "Retry-After") {
		t.Fatalf("a third of the address: %q", got)
	}
	if got := r.Stats().Rejected[core.ReasonLimit].Load(); got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
	_ = first.Close()
	eventually(t, "one has ended", func() bool { return underWay() == 1 })
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
	// Only collections that are requested.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var g memoryGauge
	runtime.GC()
	g.look(0, 0)
	before := g.used.Load()
	kept := make([]byte, size)
	g.look(before+size/2, 0)
	if used := g.used.Load(); used < before+size/2 {
		t.Errorf("with what is alive: %d, before %d", used, before)
	}
	runtime.KeepAlive(kept)
	g.collected = time.Time{}
	runtime.GC()
	kept = make([]byte, size)
	runtime.KeepAlive(kept)
	g.look(0, 0)
	if used := g.used.Load(); used > before+size/2 {
		t.Errorf("with what was allocated since: %d, before %d", used, before)
	}
	g.look(before+size/2, 0)
	if used := g.used.Load(); used > before+size/2 {
		t.Errorf("with garbage: %d, before %d", used, before)
	}
}

// TestCrowdLeavesNothingBehind: the memory of many handshakes is returned once, when they
// are over. Broken versions: without quiet (it is collected while they come), without
// settled (it is collected again and again).
func TestCrowdLeavesNothingBehind(t *testing.T) {
	const size = 64 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	released := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapReleased
	}
	debug.FreeOSMemory()
	var g memoryGauge
	litter := func() {
		kept := make([]byte, size)
		runtime.KeepAlive(kept)
	}
	litter()
	littered := released()
	g.look(0, crowdSize)
	if !g.collected.IsZero() {
		t.Fatal("collected while they came")
	}
	g.look(0, crowdSize+1)
	if g.collected.IsZero() || released() < littered+size/2 {
		t.Errorf("%d bytes were given back, of %d", released()-littered, size)
	}
	g.collected = time.Time{}
	litter()
	if g.look(0, crowdSize+2); !g.collected.IsZero() {
		t.Error("collected although nobody came")
	}
}
