package network

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// badge is an authenticator: the user is the one that the header X-User names, except nobody
// and unknown. It panics for panic, and ends its goroutine for exit.
type badge struct{}

func (badge) Authenticate(_ context.Context, h core.Handshake) (*core.Identity, core.Verdict, error) {
	switch user := h.Header.Get("X-User"); user {
	case "":
		return nil, core.Deny, nil
	case "unknown":
		return nil, core.Unavailable, nil
	case "panic":
		panic("asked for")
	case "exit":
		runtime.Goexit()
		return nil, core.Allow, nil
	default:
		return &core.Identity{Subject: user}, core.Allow, nil
	}
}

// annOnly is an authorizer.
type annOnly struct{}

func (annOnly) AuthorizeConnect(_ context.Context, h core.Handshake) core.Verdict {
	switch h.Identity.User() {
	case "ann":
		return core.Allow
	case "bob":
		return core.Deny
	}
	return core.Unavailable
}

func (annOnly) AuthorizeCommand(context.Context, *core.Identity, core.Command) core.Verdict {
	return core.Allow
}

// The client is authenticated first; then the authorizer is asked about it.
func TestJudges(t *testing.T) {
	for _, c := range []struct {
		user, status, header string
		reason               core.Reason
	}{
		{"", "401 Unauthorized", "WWW-Authenticate: Bearer\r\n", core.ReasonDenied},
		{"X-User: unknown\r\n", "503 Service Unavailable", "Retry-After: 1\r\n", core.ReasonUnavailable},
		{"X-User: bob\r\n", "403 Forbidden", "", core.ReasonDenied},
		{"X-User: carl\r\n", "403 Forbidden", "", core.ReasonUnavailable},
		{"X-User: ann\r\n", "101 Switching Protocols", "", core.NumReasons},
	} {
		t.Run(c.user, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Authenticator, ep.Authorizer = badge{}, annOnly{} })
			client := r.dialTCP("chat")
			client.write([]byte(upgradeRequest(c.user)))
			head := client.readResponse("HTTP/1.1 " + c.status)
			if !strings.Contains(head, c.header) {
				t.Errorf("response %q without %q", head, c.header)
			}
			if c.reason == core.NumReasons {
				client.send("sub")
				client.read()
				if got := r.hub.newest().Identity().User(); got != "ann" {
					t.Errorf("the link is of %q", got)
				}
				return
			}
			eventually(t, "the refusal is counted", func() bool { return r.stats.Rejected[c.reason].Load() == 1 })
		})
	}
}

// If the authenticator panics or ends its goroutine, the client is refused and its place is free
// again.
func TestJudgePanics(t *testing.T) {
	for _, way := range []string{"panic", "exit"} {
		t.Run(way, func(t *testing.T) {
			r := limited(t, core.Limits{Connections: 1})
			c := r.dialTCP("chat")
			c.write([]byte(upgradeRequest("X-User: " + way + "\r\n")))
			c.readResponse("HTTP/1.1 500 ")
			_ = c.Close()
			eventually(t, "it has left", func() bool { return r.eps["chat"].open.Load() == 0 })
			r.as("ann", "101")
			if rejected, panics := r.stats.Rejected[core.ReasonInternal].Load(), r.Stats().Panics.Load(); rejected != 1 || panics != 1 {
				t.Errorf("%d refusals and %d panics are counted, want one each", rejected, panics)
			}
		})
	}
}
