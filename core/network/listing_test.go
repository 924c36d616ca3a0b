package network

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

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
