package network

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
)

// joined are the marks of the bridges that are connected.
type joined struct {
	mu    sync.Mutex
	marks map[uint64]string
}

func (j *joined) Join(conn uint64, mark string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if mark == "loop" {
		return "", errors.New("it would come back")
	}
	j.marks[conn] = mark
	return "the answer", nil
}

func (j *joined) Leave(conn uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.marks, conn)
}

func (j *joined) all() map[uint64]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.marks)
}

// A bridge is judged when everybody else has let it in, and known for as long as it is connected; other
// clients are asked nothing and told nothing.
func TestBridgesAreJudged(t *testing.T) {
	bridges := &joined{marks: make(map[uint64]string)}
	r := start(t, func(o *Options, _ *Endpoint) {
		o.Bridges = bridges
		o.BeforeUpgrade = func(_ context.Context, _ string, h core.Handshake) error {
			if h.Header.Get("Who") == "stranger" {
				return errors.New("a stranger")
			}
			return nil
		}
	})
	ask := func(fields, response string) (*client, string) {
		c := r.dialTCP("chat")
		c.write([]byte(upgradeRequest(fields)))
		return c, c.readResponse(response)
	}
	if _, response := ask("", "HTTP/1.1 101 "); strings.Contains(response, core.BridgeHeader) {
		t.Errorf("a client was told %q", response)
	}
	ask("polywire-bridge: loop\r\n", "HTTP/1.1 508 ")
	eventually(t, "the refusal is counted", func() bool { return r.stats.Rejected[core.ReasonDenied].Load() == 1 })
	ask("polywire-bridge: m\r\nWho: stranger\r\n", "HTTP/1.1 403 ")
	if all := bridges.all(); len(all) > 0 {
		t.Errorf("joined: %v", all)
	}
	bridge, response := ask("polywire-bridge: m\r\n", "HTTP/1.1 101 ")
	if !strings.Contains(response, "\r\nPolywire-Bridge: the answer\r\n") {
		t.Errorf("the bridge was told %q", response)
	}
	bridge.send("echo hello")
	bridge.expect("hello")
	link := r.hub.newest()
	if all := bridges.all(); len(all) != 1 || all[link.ID()] != "m" {
		t.Errorf("joined: %v, want connection %d", all, link.ID())
	}
	_ = bridge.Close()
	eventually(t, "it has left", func() bool { return len(bridges.all()) == 0 })
}
