package network

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// list returns what List visits, by number.
func (r *rig) list() map[uint64]core.ConnectionInfo {
	r.t.Helper()
	all := make(map[uint64]core.ConnectionInfo)
	err := r.List(r.t.Context(), "", func(one core.ConnectionInfo) {
		if _, twice := all[one.ID]; twice {
			r.t.Errorf("%d is listed twice", one.ID)
		}
		all[one.ID] = one
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// All connections of all loops are listed, more than fit into a batch, while others come and go; one that is
// ended is told why, and listed no more.
func TestList(t *testing.T) {
	const n = 3 * listBatch
	r := start(t, nil)
	stay := make(map[string]*client)
	for range n {
		c := r.dial("echo")
		stay[c.LocalAddr().String()] = c
	}
	var coming sync.WaitGroup
	coming.Go(func() {
		for range 200 {
			if c, err := net.Dial("tcp", r.Addr("chat").String()); err == nil {
				_, _ = c.Write([]byte(upgradeRequest()))
				_ = c.Close()
			}
		}
	})
	for range 10 {
		all := r.list()
		var found int
		for _, one := range all {
			if stay[one.Remote] == nil || one.Endpoint == "chat" { // which another listener's client may come from too
				continue
			}
			found++
			if one.Endpoint != "echo" || one.Protocol != "echo" || one.Opened.IsZero() || one.TLS || one.Compressed || one.Queued != 0 {
				t.Fatalf("%+v", one)
			}
		}
		if found != n {
			t.Fatalf("%d of %d connections are listed", found, n)
		}
	}
	coming.Wait()

	for id, one := range r.list() {
		c := stay[one.Remote]
		if c == nil || one.Endpoint == "chat" {
			continue
		}
		found, _, err := r.Find(t.Context(), id)
		if err != nil || found.Remote != one.Remote {
			t.Fatalf("%+v, %v", found, err)
		}
		if ended, err := r.End(t.Context(), id, core.ReasonDenied); err != nil || ended.Remote != one.Remote {
			t.Fatalf("%+v, %v", ended, err)
		}
		c.expectClose(1008)
		coretest.Eventually(t, "it is listed no more", func() bool {
			_, _, err := r.Find(t.Context(), id)
			return errors.Is(err, core.ErrNoConnection)
		})
		break
	}
	if _, err := r.End(t.Context(), 1<<60, core.ReasonDenied); !errors.Is(err, core.ErrNoConnection) {
		t.Errorf("a number that nobody has: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.List(ctx, "", func(core.ConnectionInfo) {}); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("nobody waits: %v", err)
	}
}

// A walk takes few connections at a time and rests behind them; one that has found what it looks for, or whose client has
// gone, looks at no more.
func TestWalkRests(t *testing.T) {
	const n = 2*listBatch + 1
	r := start(t, nil)
	for range n {
		r.dial("echo")
	}
	var last time.Time
	listed, batches := 0, 0
	err := r.walk(t.Context(), func(*conn) bool { return true }, nil, func(batch []core.ConnectionInfo) bool {
		if len(batch) > listBatch {
			t.Errorf("%d at once", len(batch))
		}
		if rest := time.Since(last); rest < mostRest {
			t.Errorf("it has rested %v", rest)
		}
		listed += len(batch)
		batches++
		time.Sleep(mostRest / listRest) // counts as work
		last = time.Now()
		return true
	})
	if err != nil || listed != n || batches < 3 {
		t.Errorf("%d of %d connections in %d batches, %v", listed, n, batches, err)
	}

	var seen, done atomic.Int64
	batches = 0
	err = r.walk(t.Context(), func(*conn) bool { return seen.Add(1) == 2 }, func(*conn) { done.Add(1) }, func(batch []core.ConnectionInfo) bool {
		batches++
		return len(batch) != 1
	})
	if err != nil || batches != 1 || done.Load() != 1 {
		t.Errorf("it looks for one: %d batches, and %d are taken, %v", batches, done.Load(), err)
	}

	ctx, leave := context.WithCancel(t.Context())
	listed = 0
	err = r.List(ctx, "", func(core.ConnectionInfo) {
		listed++
		leave()
	})
	if !errors.Is(err, context.Canceled) || listed == 0 || listed > listBatch {
		t.Errorf("its client has gone: %d are listed, %v", listed, err)
	}
}

// An operator sees who does not read, and whose messages wait.
func TestListedState(t *testing.T) {
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		ep.Settings.OutboundLimit = 64 << 20
	})
	stalled, link := r.sleeper()
	for _, one := range r.list() {
		if one.Queued != 0 || one.Held {
			t.Errorf("at first: %+v", one)
		}
	}
	pub := r.dial("chat")
	err := r.List(t.Context(), "x", func(one core.ConnectionInfo) {
		if one.ID != link.ID() {
			t.Errorf("who hears nothing hears x: %+v", one)
		}
	})
	if err != nil {
		t.Error(err)
	}
	coretest.Eventually(t, "bytes wait for who does not read", func() bool {
		pub.send("pub " + strings.Repeat("x", 100<<10))
		return r.list()[link.ID()].Queued > 1<<20
	})
	stalled.send("hold")
	<-r.hub.held
	if one := r.list()[link.ID()]; !one.Held {
		t.Errorf("%+v", one)
	}
	for id, one := range r.list() {
		if id != link.ID() && (one.Queued > 0 || one.Held) {
			t.Errorf("the other one: %+v", one)
		}
	}
}

// An operator sees who has TLS, and who compresses.
func TestListedKind(t *testing.T) {
	for _, secured := range []bool{false, true} {
		r, dial := startWith(t, secured, nil)
		dial().upgrade()
		_, _ = r.dialDeflate("echo", "permessage-deflate")
		for _, one := range r.list() {
			if one.Compressed != (one.Endpoint == "echo") || one.TLS != (secured && one.Endpoint == "chat") {
				t.Errorf("%+v", one)
			}
		}
	}
}
