package clients

import (
	"fmt"
	"testing"
	"time"
)

// everyFormat is a broker with an endpoint of every format.
const everyFormat = `
endpoints:
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0"}
  - {name: stocking, protocol: stocking, listen: "127.0.0.1:0"}
  - {name: vws, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: webwire, protocol: webwire, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`

// content is encoded as the same bytes in every format.
const content = `{"n":9007199254740993,"s":"ü <&>"}`

// TestTalk makes every library speak every format: it connects, hears a client of another format,
// is heard by it, exchanges ping and pong, and leaves.
func TestTalk(t *testing.T) {
	p := configured(t, everyFormat)
	for _, l := range libraries {
		for i, f := range formats {
			t.Run(l.name+"/"+f.name, func(t *testing.T) {
				other := formats[(i+1)%len(formats)]
				in, out := "in-"+f.name+"-"+l.name, "out-"+f.name+"-"+l.name

				partner := greeted(t, libraries[0], other, p)
				partner.say(other.hear(out)...)
				partner.hear(other.heard(out))

				c := greeted(t, l, f, p)
				c.say(f.hear(in)...)
				c.hear(f.heard(in))

				c.say(f.publish(out, content)...)
				partner.hear(other.told(out, content))
				partner.say(other.publish(in, content)...)
				c.hear(f.told(in, content))

				if l.pings {
					if err := c.ping(); err != nil {
						t.Fatal(err)
					}
					c.next("pong")
				}
				c.leave()
				partner.leave()
			})
		}
	}
}

// greeted returns a client that is connected and has been greeted.
func greeted(t *testing.T, l library, f format, p process) *client {
	t.Helper()
	c := connect(t, l, p.urls[f.name])
	c.hear(f.greeting...)
	return c
}

// TestLiveness makes every library stay connected to a broker that requires pongs, longer than a
// client stays that sends none.
func TestLiveness(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			// A busy machine may need more time for a pong.
			for timeout := 2 * time.Second; !stays(t, l, timeout); timeout *= 3 {
				if timeout > patience {
					t.Fatalf("it does not stay, even if a pong may take %s", timeout)
				}
			}
		})
	}
}

// stays reports whether a library stays connected to a broker that ends clients without a pong for
// that long.
func stays(t *testing.T, l library, timeout time.Duration) bool {
	t.Helper()
	p := configured(t, fmt.Sprintf(`
endpoints: [{name: wubsub, protocol: wubsub, listen: "127.0.0.1:0", ping_interval: %s, pong_timeout: %s}]
admin: {listen: "127.0.0.1:0"}
`, timeout/6, timeout))
	defer p.stop()
	c := greeted(t, l, wubsub, p)
	select {
	case e := <-c.events:
		t.Logf("got %+v", e)
		return false
	case <-time.After(timeout + timeout/3):
	}
	for _, m := range wubsub.hear("still") {
		if err := c.send(m); err != nil {
			return false
		}
	}
	if e := <-c.events; e.kind != "message" || e.message != wubsub.heard("still") {
		t.Logf("got %+v", e)
		return false
	}
	c.leave()
	return true
}

// TestGoodbye checks that a broker that shuts down says goodbye to every library.
func TestGoodbye(t *testing.T) {
	p := configured(t, everyFormat)
	var all []*client
	for i, l := range libraries {
		all = append(all, greeted(t, l, formats[i%len(formats)], p))
	}
	p.stop()
	for _, c := range all {
		if e := c.next("close"); e.code != 1001 {
			t.Errorf("%s: closed with %d %q, want 1001", c.name, e.code, e.reason)
		}
	}
}
