package network

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// A client that does not read gets the current policy, whichever was in force before: what
// it receives in the end is in order, and it continues.
func TestPolicyChangesWhileClientIsStuck(t *testing.T) {
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 4 << 10
		ep.Settings = Settings{OutboundLimit: 64 << 10, SlowConsumer: DropOldest}
	})
	c := r.dial("chat")
	c.send("sub")
	c.expect("ok")
	padding := strings.Repeat("x", 1000)
	n := 0
	for round := range 12 {
		policy := []SlowConsumer{DropOldest, Conflate, DropNewest, Conflate}[round%4]
		if err := r.Apply("chat", Settings{OutboundLimit: (32 + 8*round) << 10, SlowConsumer: policy}); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			n++
			r.hub.publish(fmt.Appendf(nil, "topic%d:%d:%s", n%7, n, padding), nil)
		}
		sync := r.dial("chat")
		sync.send("echo turn")
		sync.expect("turn")
	}
	if r.stats.Dropped[core.ReasonConflated].Load() == 0 || r.stats.Dropped[core.ReasonSlow].Load() == 0 {
		t.Error("nothing was conflated, or nothing dropped")
	}
	// From here on nothing is lost.
	if err := r.Apply("chat", Settings{OutboundLimit: 1 << 20, SlowConsumer: Disconnect}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the settings are taken", func() bool { return r.settled("chat") })
	r.hub.publish([]byte("end:0:"), nil)
	last := map[string]int{}
	for {
		f := c.read()
		if f.Header.OpCode != ws.OpText {
			t.Fatalf("got %v", f.Header.OpCode)
		}
		parts := bytes.SplitN(f.Payload, []byte(":"), 3)
		topic, number := string(parts[0]), 0
		number, _ = strconv.Atoi(string(parts[1]))
		if topic == "end" {
			break
		}
		if number <= last[topic] {
			t.Fatalf("%s: %d came after %d", topic, number, last[topic])
		}
		last[topic] = number
	}
	if got := r.stats.Open.Load(); got != 13 {
		t.Errorf("%d connections are open", got)
	}
}

// settled reports whether all connections of an endpoint use its current settings.
func (r *rig) settled(endpoint string) bool {
	r.t.Helper()
	late, err := r.connections(r.t.Context(), func(c *conn) bool {
		return c.ep.Name == endpoint && c.settings != c.ep.settings.Load()
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return len(late) == 0
}

// A changed timeout counts from the change: nobody is cut for silence that was allowed.
func TestTimesCountFromTheirChange(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	time.Sleep(600 * time.Millisecond)
	applied := time.Now()
	if err := r.Apply("chat", Settings{OutboundLimit: 1 << 20, IdleTimeout: 500 * time.Millisecond, PongTimeout: time.Hour, PingInterval: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for {
		if f := c.read(); f.Header.OpCode == ws.OpClose {
			break
		} else if f.Header.OpCode != ws.OpPing {
			t.Fatalf("got %v", f.Header.OpCode)
		}
	}
	if after := time.Since(applied); after < 400*time.Millisecond {
		t.Errorf("closed for silence after %s", after)
	}
	if r.stats.Closed[core.ReasonIdle].Load() != 1 {
		t.Error("the end is not counted")
	}
	if err := r.Apply("nowhere", Settings{}); err == nil {
		t.Error("settings of no endpoint are applied")
	}
}
