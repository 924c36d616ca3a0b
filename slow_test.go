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
)

// A client that does not read is told so, when it reads again, in the close frame of
// its own format.
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
	slow := make([]*client, len(formats))
	for i, f := range formats {
		slow[i] = dial(t, b.urls[f.name].URL)
		if err := slow[i].conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		if f.subscribe != "" {
			slow[i].send(f.subscribe)
		}
		slow[i].ping()
	}
	speaker := dial(t, b.urls["speaker"].URL)
	message := fmt.Sprintf(`{"command":"broadcast","args":{"channel":"c/t","content":%q}}`, strings.Repeat("x", 8000))
	closed := regexp.MustCompile(`(?m)^polywire_connections_closed_total{.*reason="slow"} 1$`)
	for deadline := time.Now().Add(patience); ; {
		for range 100 {
			speaker.send(message)
		}
		_, page := get(t, b.AdminURL())
		if len(closed.FindAllString(page, -1)) == len(formats) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all are closed as slow:\n%s", page)
		}
	}
	// They have two seconds to read the rest.
	for i, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			code, reason := slow[i].readClose(t)
			if code != 1013 || reason != f.reason {
				t.Errorf("close frame %d %q, want 1013 %q", code, reason, f.reason)
			}
		})
	}
}

// ping returns when what was sent before has been carried out.
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

// readClose reads up to the close frame.
func (c *client) readClose(t *testing.T) (code ws.StatusCode, reason string) {
	t.Helper()
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := ws.ReadFrame(c.rw)
		if err != nil {
			t.Fatalf("reading up to the close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpClose {
			return ws.ParseCloseFrameData(f.Payload)
		}
	}
}
