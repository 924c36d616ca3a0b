package network

import (
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/timers"
)

// TestStandstill: when a process was stopped or its machine suspended for longer than any client
// may be silent, no client counts as gone: its input of that time waits in its socket.
// Broken version: a clock that follows the server's.
func TestStandstill(t *testing.T) {
	tests := []struct {
		name string
		set  func(*Settings)
	}{
		{"pong", func(s *Settings) { s.PingInterval, s.PongTimeout = coretest.Patience, 2*coretest.Patience }},
		{"idle", func(s *Settings) { s.IdleTimeout = coretest.Patience }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, func(o *Options, ep *Endpoint) {
				o.Loops = 1
				tt.set(&ep.Settings)
			})
			c := r.dial("chat")
			c.send("echo before")
			c.expect("before")
			l := r.loopAt(0)
			l.post(mail{fn: func() {
				// As if the loop had looked at its clock an hour ago, and that had gone right.
				l.clock.Start(l.server.started.Add(-time.Hour), time.Now().Add(-time.Hour))
			}})
			stopped := l.ticks.Load()
			eventually(t, "the loop goes on", func() bool { return l.ticks.Load() > stopped+timers.Ticks(2*time.Second) })
			c.send("echo after")
			c.expect("after")
			for _, reason := range []core.Reason{core.ReasonNoPong, core.ReasonIdle} {
				if n := r.stats.Closed[reason].Load(); n != 0 {
					t.Errorf("%d were closed for %s", n, reason)
				}
			}
		})
	}
}
