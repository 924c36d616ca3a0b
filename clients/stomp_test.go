package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stompClient is a process of node/stomp.mjs, which describes the language of its stdin
// and stdout.
type stompClient struct {
	t      *testing.T
	name   string
	orders *json.Encoder
	events chan stompEvent
}

type stompEvent struct {
	Event, Version, Body, ID, Message string
	Headers                           map[string]string
	Code                              int
}

// stomp connects a STOMP client.
func stomp(t *testing.T, library, url string) *stompClient {
	t.Helper()
	cmd := exec.Command("node", "stomp.mjs", library, url)
	cmd.Dir = "node"
	cmd.Stderr = t.Output()
	stdin, stdout := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Node.js: %v", err)
	}
	c := &stompClient{t: t, name: library, orders: json.NewEncoder(stdin), events: make(chan stompEvent, 64)}
	go func() {
		defer close(c.events)
		for lines := json.NewDecoder(stdout); ; {
			var e stompEvent
			if err := lines.Decode(&e); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				e = stompEvent{Event: "nonsense", Message: err.Error()}
			}
			c.events <- e
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		for range c.events {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("node stomp.mjs %s: %v", library, err)
		}
	})
	if e := c.next("connected"); e.Version != "1.2" {
		t.Errorf("%s: connected with version %q", library, e.Version)
	}
	return c
}

func (c *stompClient) do(order map[string]any) {
	c.t.Helper()
	if err := c.orders.Encode(order); err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
}

// subscribe subscribes, and returns when that is in force.
func (c *stompClient) subscribe(destination, ack string) {
	c.t.Helper()
	c.do(map[string]any{"do": "subscribe", "destination": destination, "headers": map[string]string{"ack": ack, "receipt": "subscribed"}})
	if e := c.next("receipt"); e.ID != "subscribed" {
		c.t.Fatalf("%s: receipt %q", c.name, e.ID)
	}
}

func (c *stompClient) send(destination, body string, headers map[string]string) {
	c.t.Helper()
	c.do(map[string]any{"do": "send", "destination": destination, "body": body, "headers": headers})
}

// next waits for the next event, which must have the given kind.
func (c *stompClient) next(kind string) stompEvent {
	c.t.Helper()
	select {
	case e, ok := <-c.events:
		if !ok || e.Event != kind {
			c.t.Fatalf("%s: got %.300v, want %s", c.name, fmt.Sprint(e), kind)
		}
		return e
	case <-time.After(patience):
		c.t.Fatalf("%s: waited in vain for %s", c.name, kind)
	}
	panic("unreachable")
}

// hear expects a message.
func (c *stompClient) hear(destination, body string) stompEvent {
	c.t.Helper()
	e := c.next("message")
	if e.Headers["destination"] != destination || e.Body != body {
		c.t.Fatalf("%s: got %.200q from %s, want %.200q from %s", c.name, e.Body, e.Headers["destination"], body, destination)
	}
	return e
}

// plugin builds a program of examples/plugins and returns its path.
func plugin(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./examples/plugins/"+name)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin %s: %v\n%s", name, err, out)
	}
	return program
}

// TestStomp has third-party STOMP clients talk to each other and to clients of legacy formats,
// through the plugin of examples/plugins/stomp in two processes.
func TestStomp(t *testing.T) {
	if _, err := os.Stat("node/node_modules/@stomp"); err != nil {
		t.Fatal("the clients of Node.js are not installed: run `make clients`")
	}
	p := configured(t, fmt.Sprintf(`
endpoints:
  - {name: stomp, protocol: stomp, listen: "127.0.0.1:0", plugin: {command: [%s], processes: 2}}
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0"}
services:
  - {match: echo, builtin: echo}
admin: {listen: "127.0.0.1:0"}
network: {loops: 2}
`, plugin(t, "stomp")))
	for _, name := range []string{"stompjs", "webstomp"} {
		t.Run(name, func(t *testing.T) {
			topic := name + "/" + second
			bot := connect(t, libraries[0], p.urls["wubsub"])
			bot.say(wubsub.hear(name)...)
			bot.hear(wubsub.heard(name))
			web := connect(t, libraries[1], p.urls["wsify"])
			web.say(wsify.hear(name)...)
			web.hear(wsify.heard(name))
			bot.hear(wubsub.told(name, `"joined"`))
			one, other := stomp(t, name, p.urls["stomp"]), stomp(t, "stompjs", p.urls["stomp"])
			one.subscribe("/topic/"+topic, "client")
			other.subscribe("/topic/"+topic, "auto")

			web.say(wsify.publish(name, `{"n":9007199254740993}`)...)
			web.hear(wsify.told(name, `{"n":9007199254740993}`))
			bot.hear(wubsub.told(name, `{"n":9007199254740993}`))
			for _, c := range []*stompClient{one, other} {
				if e := c.hear("/topic/"+topic, `{"n":9007199254740993}`); e.Headers["content-type"] != "application/json" {
					t.Errorf("headers %v", e.Headers)
				}
			}

			one.send("/topic/"+topic, "grüß dich: 1\n2", map[string]string{"at": "half past noon"})
			for _, c := range []*stompClient{one, other} {
				if e := c.hear("/topic/"+topic, "grüß dich: 1\n2"); e.Headers["at"] != "half past noon" {
					t.Errorf("%s: the header is %q", c.name, e.Headers["at"])
				}
			}
			web.hear(wsify.told(name, `"grüß dich: 1\n2"`))
			bot.hear(wubsub.told(name, `"grüß dich: 1\n2"`))

			// A frame that the client splits into many messages.
			large := strings.Repeat("0123456789abcdeé", 20_000)
			one.send("/topic/"+topic, large, nil)
			one.hear("/topic/"+topic, large)
			other.hear("/topic/"+topic, large)
			web.hear(wsify.told(name, `"`+large+`"`))
			bot.hear(wubsub.told(name, `"`+large+`"`))

			one.do(map[string]any{"do": "begin", "transaction": "t"})
			one.send("/topic/"+topic, "in a transaction", map[string]string{"transaction": "t"})
			one.send("/topic/"+topic, "before it", nil)
			one.do(map[string]any{"do": "commit", "transaction": "t"})
			other.hear("/topic/"+topic, "before it")
			other.hear("/topic/"+topic, "in a transaction")
			one.hear("/topic/"+topic, "before it")
			one.hear("/topic/"+topic, "in a transaction")

			one.send("/queue/echo", "ask", map[string]string{"reply-to": "/temp-queue/mine", "correlation-id": "7"})
			if e := one.hear("/temp-queue/mine", "ask"); e.Headers["correlation-id"] != "7" {
				t.Errorf("headers %v", e.Headers)
			}
			one.do(map[string]any{"do": "disconnect"})
			one.end(1000)

			// wubsub owns its channel now, so nobody else publishes there.
			bot.hear(wubsub.told(name, `"before it"`), wubsub.told(name, `"in a transaction"`))
			bot.say(wubsub.publish(name, `"mine"`)...)
			other.hear("/topic/"+topic, `"mine"`)
			other.send("/topic/"+topic, "and mine?", nil)
			if e := other.next("error"); e.Message != "the channel is not the sender's" {
				t.Errorf("error %q", e.Message)
			}
			other.end(1008)
		})
	}
}

// end expects the connection to end, after receipts that the library asked for itself.
func (c *stompClient) end(code int) {
	c.t.Helper()
	for {
		select {
		case e := <-c.events:
			switch {
			case e.Event == "receipt":
				continue
			case e.Event != "close" || e.Code != code && e.Code != 1005:
				c.t.Errorf("%s: ended with %v, want close %d", c.name, e, code)
			}
			return
		case <-time.After(patience):
			c.t.Fatalf("%s: does not end", c.name)
		}
	}
}
