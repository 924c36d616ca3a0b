package bridge_test

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/bridge"
)

// A node that leads no longer, and does not know it yet, tells the old server nothing: another node does.
func TestTellsNothingWhenAnotherLeads(t *testing.T) {
	said := make(chan string, 100)
	server := listens(t, func() http.Header { return nil }, func(_ int, conn net.Conn) {
		for {
			text, err := wsutil.ReadClientText(conn)
			if err != nil {
				return
			}
			said <- string(text)
		}
	})
	var follows atomic.Bool
	b, e := alone(t, server, bridge.Options{Leads: func() bool { return !follows.Load() }, Format: formatOf(t, vws.Protocol()), Tell: []string{"a"}})
	coretest.Eventually(t, "it is connected", func() bool { return b.Health() == nil })
	publisher := e.Publisher(&core.Endpoint{Name: "web", Stats: new(core.Stats)})
	publish := func(text string, follow bool) {
		follows.Store(follow)
		if f := publisher.Publish([]byte("a"), core.Payload{Kind: core.Text, Data: []byte(text)}); f.Failed() {
			t.Fatal(f)
		}
	}
	publish("first", false)
	publish("of another", true)
	publish("last", false)
	for _, want := range []string{"first", "last"} {
		if got := coretest.Receive(t, "a message", said); !strings.Contains(got, want) {
			t.Errorf("told %s, want %q", got, want)
		}
	}
	if n := b.Endpoint().Stats.Dropped[core.ReasonGone].Load(); n != 1 {
		t.Errorf("%d messages are counted as dropped", n)
	}
}
