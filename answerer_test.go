package polywire_test

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Callers cannot get an answerer ended as slow, however much they ask: calls that would take it
// over its limit fail, or are dropped if nobody waits for their answers, and both are counted. It
// keeps its channel, receives its messages, and answers when it reads again.
func TestCallersDoNotEndAnAnswerer(t *testing.T) {
	for _, policy := range []string{"disconnect", "drop_oldest", "drop_newest", "conflate"} {
		t.Run(policy, func(t *testing.T) {
			b := run(t, `
endpoints:
  - {name: answerer, protocol: wubsub,   listen: "127.0.0.1:0", outbound_limit: 256KiB, slow_consumer: `+policy+`}
  - {name: wubsub,   protocol: wubsub,   listen: "127.0.0.1:0"}
  - {name: stocking, protocol: stocking, listen: "127.0.0.1:0"}
  - {name: vws,      protocol: vws,      listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: wsify,    protocol: wsify,    listen: "127.0.0.1:0"}
network: {send_buffer: 32KiB, loops: 2}
admin: {listen: "127.0.0.1:0"}
`)
			answerer := dial(t, b.urls["answerer"].URL)
			if err := answerer.conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
				t.Fatal(err)
			}
			answerer.send(`{"type":"register","channel":"c","data":{"restpie":{"methods":["m"]}}}`)
			answerer.send(`{"type":"ps-sub","channel":"news","topic":"t"}`)
			answerer.ping()

			big := strings.Repeat("x", 20_000)
			callers := []struct {
				endpoint, message string
			}{
				{"wubsub", fmt.Sprintf(`{"type":"pie-do","channel":"c","topic":"m","data":%q}`, big)},
				{"stocking", fmt.Sprintf(`4,0,{"e":"c/m","p":%q}`, big)},
				{"stocking", fmt.Sprintf(`4,1,{"e":"c/m","p":%q}`, big)},
				{"vws", fmt.Sprintf(`{"t":"$call/1/c/m","d":%q}`, big)},
				{"wsify", fmt.Sprintf(`{"command":"broadcast","args":{"channel":"$call/1/c/m","content":%q}}`, big)},
			}
			for _, c := range callers {
				caller := dial(t, b.urls[c.endpoint].URL)
				for range 100 {
					caller.send(c.message)
				}
				caller.ping()
			}
			for _, endpoint := range []string{"wubsub", "stocking", "vws", "wsify"} {
				if n := b.metric(t, `polywire_calls_failed_total{endpoint="`+endpoint+`".*reason="overload"}`); n < 50 {
					t.Errorf("%s: %v calls failed as overloaded, want most of 100", endpoint, n)
				}
			}
			// There is room for messages and outcomes beside the requests.
			talker := dial(t, b.urls["wsify"].URL)
			talker.send(fmt.Sprintf(`{"command":"broadcast","args":{"channel":"news/t","content":%q}}`, big))
			talker.ping()
			both := new(bytes.Buffer)
			write(t, both, ws.OpText, `{"type":"pie-do","channel":"c","topic":"none"}`)
			write(t, both, ws.OpPing, "still here")
			answerer.raw(both.String())
			rival := dial(t, b.urls["wubsub"].URL)
			if got := rival.takes("c"); !strings.Contains(got, "aren't a publisher") {
				t.Errorf("the channel was taken from the answerer: %q", got)
			}

			requests, messages, outcomes := 0, 0, 0
			for {
				frame, err := ws.ReadFrame(answerer.rw)
				if err != nil {
					t.Fatalf("after %d requests: %v", requests, err)
				}
				if frame.Header.OpCode == ws.OpPong {
					break
				}
				switch text := string(frame.Payload); {
				case strings.Contains(text, `"pie-req"`):
					requests++
				case strings.Contains(text, `"ps-recv"`):
					messages++
				case strings.Contains(text, `"pie-ack"`):
					outcomes++
				default:
					t.Errorf("got %.100s", text)
				}
			}
			if requests == 0 || messages != 1 || outcomes != 1 {
				t.Errorf("%d requests, %d messages, %d outcomes", requests, messages, outcomes)
			}
			// It reads again, so it gets requests again.
			caller := dial(t, b.urls["wubsub"].URL)
			caller.send(`{"type":"pie-do","channel":"c","topic":"m"}`)
			if text, err := wsutil.ReadServerText(caller.rw); err != nil || !strings.Contains(string(text), `"data":true`) {
				t.Errorf("a call to who reads again: %s, %v", text, err)
			}
			if n := b.metric(t, `polywire_connections_closed_total{endpoint="answerer".*reason="slow"}`); n != 0 {
				t.Error("the answerer was closed as slow")
			}
		})
	}
}

// metric returns the sum of the series that match.
func (r *running) metric(t *testing.T, series string) (sum float64) {
	t.Helper()
	_, page := get(t, r.AdminURL())
	for _, m := range regexp.MustCompile(`(?m)^`+series+` (.*)$`).FindAllStringSubmatch(page, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
