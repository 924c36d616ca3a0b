package polywire_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Whoever has read the close frame of a connection, or its end, can register what that connection
// owned: however it ended, and however much it heard.
func TestTakeOver(t *testing.T) {
	b := run(t, `
endpoints:
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: small,  protocol: wubsub, listen: "127.0.0.1:0", max_message_size: 1KiB}
  - {name: idle,   protocol: wubsub, listen: "127.0.0.1:0", idle_timeout: 4s}
network: {loops: 2}
`)
	subscribe := new(bytes.Buffer)
	for i := range 5000 {
		write(t, subscribe, ws.OpText, fmt.Sprintf(`{"type":"ps-sub","channel":"other","topic":"t%d"}`, i))
	}
	for _, c := range []struct {
		name, endpoint string
		tries          int
		end            func(owner *client)
	}{
		{"a close frame", "wubsub", 20, func(o *client) { write(t, o.conn, ws.OpClose, "\x03\xe8") }},
		{"an empty close frame", "wubsub", 5, func(o *client) { write(t, o.conn, ws.OpClose, "") }},
		{"a broken frame", "wubsub", 5, func(o *client) { o.raw("\x83\x80\x00\x00\x00\x00") }},
		{"bytes that are no text", "wubsub", 5, func(o *client) { write(t, o.conn, ws.OpText, "\xff") }},
		{"a message over the limit", "small", 5, func(o *client) { write(t, o.conn, ws.OpText, strings.Repeat("x", 2000)) }},
		{"silence", "idle", 1, func(*client) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.tries {
				channel := fmt.Sprintf("%s/%d", c.name, i)
				owner, rival := dial(t, b.urls[c.endpoint].URL), dial(t, b.urls["wubsub"].URL)
				owner.send(fmt.Sprintf(`{"type":"register","channel":%q}`, channel))
				if _, err := owner.conn.Write(subscribe.Bytes()); err != nil {
					t.Fatal(err)
				}
				owner.ping()
				rival.ping()
				c.end(owner)
				if _, _, err := wsutil.ReadServerData(owner.rw); err == nil {
					t.Fatal("the connection did not end")
				}
				if got := rival.takes(channel); got != "" {
					t.Fatalf("try %d: the channel was not free: %s", i+1, got)
				}
			}
		})
	}
}

// takes registers a channel and publishes there, and returns what the client reads.
func (c *client) takes(channel string) string {
	both := new(bytes.Buffer)
	write(c.t, both, ws.OpText, fmt.Sprintf(`{"type":"register","channel":%q}`, channel))
	write(c.t, both, ws.OpText, fmt.Sprintf(`{"type":"ps-pub","channel":%q,"topic":"t"}`, channel))
	write(c.t, both, ws.OpPing, "")
	c.raw(both.String())
	var told []string
	for {
		frame, err := ws.ReadFrame(c.rw)
		if err != nil {
			c.t.Fatal(err)
		}
		if frame.Header.OpCode == ws.OpPong {
			return strings.Join(told, " ")
		}
		told = append(told, string(frame.Payload))
	}
}

// raw sends bytes as they are.
func (c *client) raw(bytes string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, bytes); err != nil {
		c.t.Fatal(err)
	}
}

// write writes a client's frame.
func write(t *testing.T, to io.Writer, op ws.OpCode, payload string) {
	t.Helper()
	if err := wsutil.WriteClientMessage(to, op, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}
