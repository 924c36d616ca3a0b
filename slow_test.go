package polywire_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/core/coretest"
)

// A client that was too slow learns that when it reads again, by the close frame of its own format.
func TestGoodbyeOfSlowClients(t *testing.T) {
	b := run(t, `
endpoints:
  - {name: speaker,  protocol: wsify,    listen: "127.0.0.1:0"}
  - {name: wubsub,   protocol: wubsub,   listen: "127.0.0.1:0", outbound_limit: 64KiB}
  - {name: wsify,    protocol: wsify,    listen: "127.0.0.1:0", outbound_limit: 64KiB}
  - {name: stocking, protocol: stocking, listen: "127.0.0.1:0", outbound_limit: 64KiB}
  - {name: vws,      protocol: vws,      listen: "127.0.0.1:0", outbound_limit: 64KiB}
  - {name: webwire,  protocol: webwire,  listen: "127.0.0.1:0", outbound_limit: 64KiB, options: {subscribe: [c/t]}}
network: {send_buffer: 64KiB}
admin: {listen: "127.0.0.1:0"}
`)
	formats := []struct {
		name, subscribe string
		reason          string
	}{
		{"wubsub", `{"type":"ps-sub","channel":"c","topic":"t"}`, "slow"},
		{"wsify", `{"command":"join","args":{"channel":"c/t"}}`, ""},
		{"stocking", `6,1,c/t`, "slow"},
		{"vws", `{"k":"s","t":"c/t"}`, "slow"},
		{"webwire", "", "slow"},
	}
	speaker := dial(t, b.urls["speaker"].URL)
	if err := speaker.conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	message := fmt.Sprintf(`{"command":"broadcast","args":{"channel":"c/t","content":%q}}`, strings.Repeat("x", 8000))
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			closed := regexp.MustCompile(`(?m)^polywire_connections_closed_total{endpoint="` + f.name + `",.*reason="slow"} (\d+)$`)
			count := func() string {
				_, page := get(t, b.AdminURL())
				return closed.FindString(page)
			}
			// It has two seconds to read the rest, which may be too short on a busy machine.
			coretest.Eventually(t, "a slow client reads its goodbye", func() bool {
				speaker.ping() // its messages have gone to others
				before := count()
				slow := dial(t, b.urls[f.name].URL)
				if err := slow.conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
					t.Fatal(err)
				}
				if f.subscribe != "" {
					slow.send(f.subscribe)
				}
				slow.ping()
				coretest.Eventually(t, "the client is closed as slow", func() bool {
					for range 100 {
						speaker.send(message)
					}
					return count() != before
				})
				code, reason, err := slow.readClose(t)
				if err == nil && (code != 1013 || reason != f.reason) {
					t.Errorf("close frame %d %q, want 1013 %q", code, reason, f.reason)
				}
				return err == nil
			})
		})
	}
}

// ping returns when everything that was sent before has been carried out.
func (c *client) ping() {
	c.t.Helper()
	if err := wsutil.WriteClientMessage(c.conn, ws.OpPing, nil); err != nil {
		c.t.Fatal(err)
	}
	for {
		f, err := ws.ReadFrame(c.rw)
		if err != nil {
			c.t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpPong {
			return
		}
	}
}

// readClose reads up to the close frame, if it comes.
func (c *client) readClose(t *testing.T) (code ws.StatusCode, reason string, err error) {
	t.Helper()
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := ws.ReadFrame(c.rw)
		if err != nil {
			return 0, "", err
		}
		if f.Header.OpCode == ws.OpClose {
			code, reason = ws.ParseCloseFrameData(f.Payload)
			return code, reason, nil
		}
	}
}
