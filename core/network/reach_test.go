package network

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// What is said of a message's fate is what becomes of it, whatever the policy.
func TestFate(t *testing.T) {
	const limit = 64 << 10
	const either = core.Fate(99) // that depends on whether the first message in the queue is partly written
	for _, c := range []struct {
		policy SlowConsumer
		size   int
		want   core.Fate
	}{
		{Disconnect, 100, core.Arrives},
		{Disconnect, 16 << 10, core.Ends},
		{DropOldest, 16 << 10, core.Displaces},
		{DropOldest, 2 * limit, either},
		{DropNewest, 100, core.Arrives},
		{DropNewest, 16 << 10, core.Misses},
		{Conflate, 16 << 10, core.Displaces},
		{Conflate, 2 * limit, either},
	} {
		t.Run(fmt.Sprintf("%v %d", c.policy, c.size), func(t *testing.T) {
			r := start(t, func(o *Options, ep *Endpoint) {
				o.SendBuffer = 64 << 10
				ep.Settings.OutboundLimit, ep.Settings.SlowConsumer = limit, c.policy
			})
			_, l := r.sleeper()
			published := func(c *conn, n int) bool {
				f := newFrame()
				f.seal(append(f.room(), bytes.Repeat([]byte("x"), n)...), ws.OpText)
				c.ep.markPublished(f, core.Event{Kind: core.Message, Topic: []byte("t")}, false)
				return c.queue(c.loop.lend(f))
			}
			// It does not read: what is left of its limit is less than the big message.
			on(t, l, func(c *conn) {
				for c.out.list != stuck || c.backlog() < limit-10<<10 {
					published(c, 8000)
					c.flush()
				}
			})
			on(t, l, func(one *conn) {
				before, got := one.receiving(), one.fate(c.size)
				queued := published(one, c.size)
				after := one.receiving()
				var is core.Fate
				switch {
				case one.state != open:
					is = core.Ends
				case !queued:
					is = core.Misses
				case after.Lost > before.Lost:
					is = core.Displaces
				}
				if got != is || is != c.want && c.want != either {
					t.Errorf("it is said to be %d and was %d, want %d: %+v", got, is, c.want, before)
				}
				if before.Limit != limit || before.Policy != c.policy.String() || !before.Stuck || before.Backlog == 0 {
					t.Errorf("%+v", before)
				}
			})
		})
	}
}

// All members of an audience are described, more than fit into a batch, and as long as somebody wants more.
func TestMembers(t *testing.T) {
	const n = 2*listBatch + 10
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	for range n {
		r.subscriber()
	}
	r.hub.mu.Lock()
	of, outlet := r.hub.audiences[0], r.hub.outlet
	r.hub.mu.Unlock()
	seen := make(map[uint64]bool)
	err := r.Members(t.Context(), of, 10, func(one core.Receiver) bool {
		if seen[one.ID] || one.Endpoint != "chat" || one.Fate != core.Arrives || one.Limit == 0 {
			t.Errorf("%+v", one)
		}
		seen[one.ID] = true
		return true
	})
	if err != nil || len(seen) != n {
		t.Errorf("%d of %d, %v", len(seen), n, err)
	}
	calls := 0
	if err := r.Members(t.Context(), of, 10, func(core.Receiver) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("visited %d, %v", calls, err)
	}
	if w, err := r.Write(outlet, core.Event{Kind: core.Message, Payload: core.Payload{Kind: core.Text, Data: []byte("hello")}}); err != nil || w.Bytes != 7 || w.Frame != core.TextFrame {
		t.Errorf("%+v, %v", w, err)
	}
}

// Clients that were refused are remembered by address, endpoint and reason, and no more of them than may be.
func TestTurnedAway(t *testing.T) {
	s := &Server{}
	add := func(address string, r core.Reason, at int64) {
		remote := netip.AddrPortFrom(netip.MustParseAddr(address), uint16(at)).String()
		s.away.add("e", "", remote, refusal{reason: r, why: "because", values: cause(net.ErrClosed)}, uint64(at), time.Unix(at, 0))
	}
	for at := range int64(100) {
		add("192.0.2.1", core.ReasonOrigin, at)
	}
	add("192.0.2.2", core.ReasonOrigin, 100)
	add("192.0.2.1", core.ReasonDenied, 101)
	all := s.TurnedAway()
	if len(all) != 3 || all[0].Reason != core.ReasonDenied || all[1].Remote != "192.0.2.2:100" {
		t.Fatalf("%+v", all)
	}
	want := core.TurnedAway{
		Endpoint: "e", Remote: "192.0.2.1:99", Reason: core.ReasonOrigin, Why: "because", Details: `error=use of closed network connection`,
		Count: 100, First: time.Unix(0, 0), Last: time.Unix(99, 0), After: 99,
	}
	if all[2] != want {
		t.Errorf("%+v\n%+v", all[2], want)
	}
	for i := range 2 * maxTurnedAway {
		add(fmt.Sprintf("10.0.%d.%d", i/256, i%256), core.ReasonRate, 200)
		add("2001:db8::"+fmt.Sprintf("%x", i+1), core.ReasonRate, 200) // one /64
	}
	all = s.TurnedAway()
	if len(all) != maxTurnedAway || len(s.away.of) != maxTurnedAway || all[0].Count != 2*maxTurnedAway {
		t.Errorf("there are %d (%d): %+v", len(all), len(s.away.of), all[0])
	}
}

// The open ones of some connections are examined, in one look through all.
func TestExamine(t *testing.T) {
	r := start(t, nil)
	r.subscriber()
	mine := r.hub.newest().ID()
	r.dial("echo")
	states, err := r.Examine(t.Context(), mine, 1<<40)
	if err != nil || len(states) != 1 {
		t.Fatalf("%+v, %v", states, err)
	}
	if one := states[0]; one.ID != mine || one.Settings == nil || one.Settings.Name != "chat" || one.Endpoint != "chat" || one.Policy != "disconnect" || one.Limit == 0 || one.Lost != 0 || one.Throttled {
		t.Errorf("%+v", one)
	}
	if states, err := r.Examine(t.Context(), 1<<40); err != nil || len(states) != 0 {
		t.Errorf("%+v, %v", states, err)
	}
}
