package vws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
)

// broker is a server with one endpoint of this format, on the real engine.
type broker struct {
	t      *testing.T
	server *network.Server
	stats  *core.Stats
}

// denySecrets is an authorizer that denies all commands about the topic "secret".
type denySecrets struct{}

func (denySecrets) AuthorizeConnect(context.Context, core.Handshake) core.Verdict { return core.Allow }

func (denySecrets) AuthorizeCommand(_ context.Context, _ *core.Identity, c core.Command) core.Verdict {
	if string(c.Topic) == "secret" {
		return core.Deny
	}
	return core.Allow
}

func serve(t *testing.T, options string) *broker {
	t.Helper()
	e := engine.New(engine.Options{})
	e.Start()
	t.Cleanup(e.Close)
	b := &broker{t, network.New(network.Options{Hub: e, Loops: 2}), new(core.Stats)}
	format := newTestFormat(t, options)
	profile := format.Profile()
	err := b.server.Start([]network.Endpoint{{
		Endpoint: &core.Endpoint{Name: "vws", Protocol: "vws", Authorizer: denySecrets{}, Stats: b.stats},
		Format:   format,
		Listen:   "127.0.0.1:0", Path: "/ws", MaxMessage: profile.MaxMessage,
		Settings: network.Settings{OutboundLimit: 1 << 20, PingInterval: profile.PingInterval, PongTimeout: profile.PongTimeout},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The context of the test has ended by then: remaining clients are cut.
	t.Cleanup(func() { _ = b.server.Shutdown(t.Context(), 0) })
	return b
}

// client is a WebSocket client.
type client struct {
	t *testing.T
	net.Conn
}

func (b *broker) dial() client {
	b.t.Helper()
	conn, _, _, err := ws.Dial(b.t.Context(), "ws://"+b.server.Addr("vws").String()+"/ws")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(coretest.Deadline()); err != nil {
		b.t.Fatal(err)
	}
	return client{b.t, conn}
}

func (c client) send(messages ...string) {
	c.t.Helper()
	for _, m := range messages {
		if err := wsutil.WriteClientText(c, []byte(m)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// reads fails unless the next messages are these.
func (c client) reads(want ...string) {
	c.t.Helper()
	for _, w := range want {
		got, op, err := wsutil.ReadServerData(c)
		if err != nil || string(got) != w || op != ws.OpText {
			c.t.Fatalf("read %.200q, %v, want %s", got, err, w)
		}
	}
}

// readsClose fails unless the next message is this close frame. It answers the frame and hangs
// up.
func (c client) readsClose(code ws.StatusCode, reason string) {
	c.t.Helper()
	got, _, err := wsutil.ReadServerData(c)
	if end, ok := errors.AsType[wsutil.ClosedError](err); !ok || end.Code != code || end.Reason != reason {
		c.t.Fatalf("read %.200q, %v, want a close frame %d %s", got, err, code, reason)
	}
	_ = c.Close()
}

func TestBrokerAnswersAndDelivers(t *testing.T) {
	b := serve(t, `{"allow_send":true}`)
	one, two := b.dial(), b.dial()
	one.send(`{"k":"s","t":"a/#","i":1}`, `{"k":"s","t":"a/+","i":2}`, `{"k":"s","t":"a/#"}`, `{"k":"s","t":"","i":3}`)
	one.reads(`{"k":"a","i":1}`, `{"k":"a","i":2}`, `{"k":"a"}`, `{"k":"a","i":3}`)

	// Delivered once, however many patterns match, and with the headers; events
	// without an id are not answered.
	two.send(`{"t":"a/b","d":{"n":9007199254740993},"h":{"traceparent":"x"}}`, `{"t":"a","d":1}`, `{"t":"a/c","d":2,"i":7}`)
	two.reads(`{"k":"a","i":7}`)
	one.reads(`{"d":{"n":9007199254740993},"t":"a/b","h":{"traceparent":"x"}}`, `{"d":2,"t":"a/c"}`)

	// The publisher hears itself; its ack and its event may come in either order.
	one.send(`{"t":"a/d","d":3,"i":"x"}`)
	var got []string
	for range 2 {
		m, _, err := wsutil.ReadServerData(one)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m))
	}
	slices.Sort(got)
	if want := []string{`{"d":3,"t":"a/d"}`, `{"k":"a","i":"x"}`}; !slices.Equal(got, want) {
		t.Errorf("read %s, want %s", got, want)
	}

	// What was never subscribed can be unsubscribed.
	one.send(`{"k":"u","t":"never","i":1}`, `{"k":"u","t":"a/#","i":2}`, `{"k":"U","i":3}`, `{"t":"a/e","d":1,"i":4}`)
	one.reads(`{"k":"a","i":1}`, `{"k":"a","i":2}`, `{"k":"a","i":3}`, `{"k":"a","i":4}`)
	two.send(`nonsense`, `{"k":"x","i":1}`)
	two.reads(invalid, `{"k":"n","i":1,"e":"unsupported request type: x"}`)
}

func TestBrokerRefuses(t *testing.T) {
	b := serve(t, `{"allow_send":true}`)
	c := b.dial()
	c.send(`{"k":"s","t":"secret","i":1}`, `{"k":"u","t":"secret"}`, `{"t":"secret","d":1}`, `{"t":"secret","d":1,"i":2}`)
	c.reads(`{"k":"n","i":1,"e":"subscription not allowed"}`, `{"k":"n","e":"request not allowed"}`, `{"k":"n","i":2,"e":"event not allowed"}`)
	if n := b.stats.Refused[core.ReasonDenied].Load(); n != 4 {
		t.Errorf("%d refusals counted, want 4", n)
	}
}

func TestBrokerDropsAndSubscribesInitially(t *testing.T) {
	b := serve(t, `{"allow_send":"drop","initial_subscriptions":["news/#"]}`)
	hears := b.dial()
	hears.send(`{"t":"news/1","d":1,"i":1}`)
	hears.reads(`{"k":"a","i":1}`)
	if published, refused := b.stats.Published.Load(), b.stats.Refused[core.ReasonDenied].Load(); published != 0 || refused != 1 {
		t.Errorf("drop: %d published, %d refused", published, refused)
	}

	b = serve(t, `{"allow_send":true,"initial_subscriptions":["news/#","news/+"],"max_event_size":100}`)
	hears = b.dial()
	hears.send(`{"k":"a","i":0}`)
	hears.reads(`{"k":"a","i":0}`)
	sender := b.dial()
	sender.send(`{"k":"U","i":1}`, `{"t":"news/big","d":"`+strings.Repeat("x", 100)+`"}`, `{"t":"news/2","d":2,"i":2}`)
	sender.reads(`{"k":"a","i":1}`, `{"k":"a","i":2}`)
	hears.reads(`{"d":2,"t":"news/2"}`)
	if n := b.stats.Dropped[core.ReasonUnwritable].Load(); n == 0 {
		t.Error("the event over max_event_size is not counted")
	}
}

func TestBrokerGoodbyes(t *testing.T) {
	b := serve(t, `{}`)
	big := b.dial()
	frame := `{"k":"a","i":"` + strings.Repeat("x", 32768-len(`{"k":"a","i":""}`)) + `"}`
	big.send(frame)
	big.reads(frame)
	big.send(frame + " ")
	big.readsClose(1009, "read limited at 32769 bytes")

	response, err := http.Get("http://" + b.server.Addr("vws").String() + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 426 {
		t.Errorf("a plain GET is answered %d", response.StatusCode)
	}

	last := b.dial()
	last.send(`{"k":"a"}`)
	last.reads(`{"k":"a"}`)
	ended := make(chan error, 1)
	go func() { ended <- b.server.Shutdown(t.Context(), 0) }()
	last.readsClose(1001, "Server shutting down")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
