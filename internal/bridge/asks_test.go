package bridge_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/bridge"
)

// What an old server refuses is asked for again: on the first connection, and on one that was made anew.
// What it has granted is asked for once on each connection.
func TestAsksAgain(t *testing.T) {
	asked, end := make(chan string, 100), make(chan struct{})
	server := listens(t, func() http.Header { return nil }, func(n int, conn net.Conn) {
		refused := false
		for {
			text, err := wsutil.ReadClientText(conn)
			if err != nil {
				return
			}
			var m struct {
				K, T string
				I    json.RawMessage
			}
			if err := json.Unmarshal(text, &m); err != nil || m.K != "s" {
				t.Errorf("the bridge said %s", text)
				return
			}
			asked <- fmt.Sprintf("%s on %d", m.T, n)
			answer := fmt.Sprintf(`{"k":"a","i":%s}`, m.I)
			if m.T == "refused" && !refused {
				refused = true
				answer = fmt.Sprintf(`{"k":"n","i":%s,"e":"event bus channel full"}`, m.I)
			}
			if wsutil.WriteServerText(conn, []byte(answer)) != nil {
				return
			}
			if m.T == "refused" && answer[6] == 'a' && n == 1 {
				<-end
				return
			}
		}
	})
	alone(t, server, bridge.Options{Format: formatOf(t, vws.Protocol()), Hear: []string{"granted", "refused"}})
	for n := range 2 {
		for _, topic := range []string{"granted", "refused", "refused"} {
			want := fmt.Sprintf("%s on %d", topic, n+1)
			if got := coretest.Receive(t, want, asked); got != want {
				t.Fatalf("asked for %s, want %s", got, want)
			}
		}
		if n == 0 {
			close(end)
		}
	}
}
