package network

import (
	"context"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// pass is an authenticator that lets everybody in until a time.
type pass struct{ ends time.Time }

func (p pass) Authenticate(context.Context, core.Handshake) (*core.Identity, core.Verdict, error) {
	return &core.Identity{Subject: "ann", Expires: p.ends}, core.Allow, nil
}

// A connection ends with its credential, whether it is idle, busy or held. If the credential
// expires later or never, the connection stays.
func TestConnectionEndsWithItsCredential(t *testing.T) {
	for _, c := range []struct {
		name, does string
		in         time.Duration
	}{
		{"idle", "", 300 * time.Millisecond},
		{"held", "hold", 300 * time.Millisecond},
		{"over at the start", "", -time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			ends := time.Now().Add(c.in)
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Authenticator = pass{ends} })
			client := r.dial("chat")
			if c.does != "" {
				client.send(c.does)
			}
			client.expectClose(1008)
			if now := time.Now(); now.Before(ends) {
				t.Errorf("ended %s early", ends.Sub(now))
			}
			if n := r.stats.Closed[core.ReasonExpired].Load(); n != 1 {
				t.Errorf("Closed[expired] = %d, want 1", n)
			}
		})
	}
	for name, ends := range map[string]time.Time{
		"never": {}, "in an hour": time.Now().Add(time.Hour), "in a million years": time.Unix(1<<45, 0),
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Authenticator = pass{ends} })
			c := r.dial("chat")
			at := (*r.loops.Load())[0].ticks.Load()
			eventually(t, "some ticks pass", func() bool { return (*r.loops.Load())[0].ticks.Load() > at+3 })
			c.send("echo fine")
			c.expect("fine")
		})
	}
}
