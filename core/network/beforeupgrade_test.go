package network

import (
	"context"
	"errors"
	"testing"

	"github.com/polywire/polywire/core"
)

// The application refuses clients before their upgrade, with an error or a panic.
func TestBeforeUpgrade(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) {
		o.BeforeUpgrade = func(_ context.Context, endpoint string, h core.Handshake) error {
			switch h.Header.Get("Who") {
			case "stranger":
				return errors.New("a stranger")
			case "panic":
				panic("asked for")
			}
			if endpoint != "chat" || h.Remote == "" || h.Path != "/" {
				t.Errorf("asked about %q, %+v", endpoint, h)
			}
			return nil
		}
	})
	for _, c := range []struct {
		name, header, response string
		reason                 core.Reason
	}{
		{"refused", "Who: stranger\r\n", "HTTP/1.1 403 ", core.ReasonDenied},
		{"panic", "Who: panic\r\n", "HTTP/1.1 403 ", core.ReasonInternal},
		{"taken", "", "HTTP/1.1 101 ", core.NumReasons},
	} {
		t.Run(c.name, func(t *testing.T) {
			visitor := r.dialTCP("chat")
			visitor.write([]byte(upgradeRequest(c.header)))
			visitor.readResponse(c.response)
			if c.reason < core.NumReasons {
				eventually(t, "counted", func() bool { return r.stats.Rejected[c.reason].Load() == 1 })
			}
		})
	}
	if n := r.Stats().Panics.Load(); n != 1 {
		t.Errorf("Panics = %d, want 1", n)
	}
}
