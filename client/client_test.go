package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/stocking"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

var formats = map[string]core.Protocol{
	"wubsub": wubsub.Protocol(), "wsify": wsify.Protocol(), "stocking": stocking.Protocol(), "vws": vws.Protocol(), "webwire": webwire.Protocol(),
}

// codecOf returns what makes the client codecs of a format.
func codecOf(t testing.TB, name string) func() core.ClientCodec {
	t.Helper()
	p := formats[name]
	format, err := p.Default()
	if err != nil {
		t.Fatal(err)
	}
	return format.(core.ClientFormat).NewClientCodec
}

// server is a broker with an endpoint of each format.
type server struct {
	ports map[string]int
	stop  func()
}

// serve starts a broker at the ports, and chooses those that are missing.
func serve(t testing.TB, ports map[string]int) *server {
	t.Helper()
	var text strings.Builder
	text.WriteString("admin: {listen: \"\"}\nendpoints:\n")
	for name := range formats {
		if ports[name] == 0 {
			ports[name] = coretest.FreePort(t)
		}
		fmt.Fprintf(&text, "  - {name: %s, protocol: %s, listen: \"127.0.0.1:%d\", path: /ws", name, name, ports[name])
		if name == "vws" {
			text.WriteString(", options: {allow_send: true}")
		}
		text.WriteString("}\n")
	}
	cfg, err := config.Load(config.Source{Text: text.String()}, polywire.Protocols())
	if err != nil {
		t.Fatal(err)
	}
	b, err := polywire.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	one := polywiretest.Run(t, b)
	return &server{ports: ports, stop: func() {
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}}
}

func (s *server) url(name string) string { return fmt.Sprintf("ws://127.0.0.1:%d/ws", s.ports[name]) }

// speaker is a client and what it hears.
type speaker struct {
	*client.Client
	heard chan core.Event
}

// dial connects a client of a format, whose codec goes through wraps.
func (s *server) dial(t testing.TB, name string, wraps ...func(core.ClientCodec) core.ClientCodec) *speaker {
	t.Helper()
	heard, newCodec := make(chan core.Event, 1000), codecOf(t, name)
	c, err := client.Dial(deadline(t), client.Options{
		URL: s.url(name), Timeout: coretest.Patience, FirstPause: time.Millisecond, MaxPause: 20 * time.Millisecond,
		Codec: func() core.ClientCodec {
			codec := newCodec()
			for _, wrap := range wraps {
				codec = wrap(codec)
			}
			return codec
		},
		Heard: func(ev core.Event) {
			if ev.Kind != core.Welcome {
				heard <- ev.Clone()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(deadline(t)) })
	return &speaker{c, heard}
}

// deadline returns a context that ends when no machine is so slow.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), coretest.Deadline())
	t.Cleanup(cancel)
	return ctx
}

// hears waits for a message or request.
func (s *speaker) hears(t testing.TB) core.Event {
	t.Helper()
	return coretest.Receive(t, "an event", s.heard)
}

func (s *speaker) do(t testing.TB, c core.Command) core.Event {
	t.Helper()
	ev, err := s.Do(deadline(t), c)
	if err != nil {
		t.Fatalf("%v %q: %v", c.Verb, c.Topic, err)
	}
	return ev
}

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

// own returns when the client owns the channel.
func (s *speaker) own(t testing.TB, at *server, channel string, services ...string) {
	t.Helper()
	c := core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel)}
	for _, service := range services {
		c.Services = append(c.Services, []byte(service))
	}
	s.do(t, c)
	s.settle(t, at, channel)
}

// settle waits until what a client has said is carried out: until another one hears what it says after that, below
// a channel on which it may publish.
func (s *speaker) settle(t testing.TB, at *server, channel string) {
	t.Helper()
	witness := at.dial(t, "vws")
	topic := fmt.Sprintf("%s/settled/%d", channel, settled.Add(1))
	witness.do(t, core.Command{Verb: core.Subscribe, Topic: []byte(topic), Pattern: true})
	s.do(t, core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: text("x")})
	witness.hears(t)
}

var settled atomic.Int64

// Clients of all formats hear each other, and who can ask is answered.
func TestAllFormats(t *testing.T) {
	s := serve(t, map[string]int{})
	owner := s.dial(t, "wubsub")
	owner.own(t, s, "bots", "echo")
	owner.do(t, core.Command{Verb: core.Subscribe, Topic: []byte("self")})
	for name := range formats {
		t.Run(name, func(t *testing.T) {
			hearer, teller := s.dial(t, name), s.dial(t, "vws")
			hearer.do(t, core.Command{Verb: core.Subscribe, Topic: []byte("news/" + name)})
			if name != "wubsub" {
				hearer.settle(t, s, "any")
			} else {
				hearer.own(t, s, "mine")
			}
			teller.do(t, core.Command{Verb: core.Publish, Topic: []byte("news/" + name), Payload: text("hello")})
			if ev := hearer.hears(t); ev.Kind != core.Message || string(core.AppendText(nil, ev.Payload)) != "hello" {
				t.Errorf("heard %+v", ev)
			}
			switch name {
			case "wsify", "vws":
				_, err := hearer.Do(deadline(t), core.Command{Verb: core.Call, Topic: []byte("bots/echo")})
				if _, ok := errors.AsType[*core.Unsayable](err); !ok {
					t.Errorf("a call: %v", err)
				}
				return
			}
			called := make(chan error, 1)
			go func() {
				ev, err := hearer.Do(deadline(t), core.Command{Verb: core.Call, Topic: []byte("bots/echo"), Payload: text("ping")})
				if err == nil && (ev.Kind != core.Answer || string(core.AppendText(nil, ev.Payload)) != "pong") {
					err = fmt.Errorf("answered %+v", ev)
				}
				called <- err
			}()
			asked := owner.hears(t)
			if asked.Kind != core.Request || string(asked.Topic) != "bots/echo" {
				t.Fatalf("asked %+v", asked)
			}
			owner.do(t, core.Command{Verb: core.Reply, Topic: asked.Topic, As: asked.As, Call: asked.Call, Payload: text("pong")})
			if err := coretest.Receive(t, "the answer", called); err != nil {
				t.Error(err)
			}
			_, err := hearer.Do(deadline(t), core.Command{Verb: core.Call, Topic: []byte("none/such")})
			f, failed := errors.AsType[core.Failure](err)
			if name == "stocking" && err == nil {
				return // the original's answer is an empty object
			}
			if !failed || f.Code != core.NoService {
				t.Errorf("a call of nobody: %v", err)
			}
		})
	}
}

// Who has subscribed, or owns a channel, does so again on the next connection, and what was queued
// meanwhile is said then.
func TestRestored(t *testing.T) {
	s := serve(t, map[string]int{})
	hearer, owner := s.dial(t, "vws"), s.dial(t, "wubsub")
	hearer.do(t, core.Command{Verb: core.Subscribe, Topic: []byte("mine/+"), Pattern: true})
	hearer.do(t, core.Command{Verb: core.Subscribe, Topic: []byte("other"), Pattern: true})
	hearer.do(t, core.Command{Verb: core.Unsubscribe, Topic: []byte("other"), Pattern: true})
	owner.own(t, s, "mine")
	for round := range 3 {
		s.stop()
		s = serve(t, s.ports)
		// Until both are back: what is published before the hearer is there is lost.
		coretest.Eventually(t, fmt.Sprintf("the message is heard in round %d", round), func() bool {
			if _, err := owner.Do(deadline(t), core.Command{Verb: core.Publish, Topic: []byte("mine/x"), Payload: text("again")}); err != nil && !errors.Is(err, client.ErrLost) {
				t.Fatal(err)
			}
			select {
			case ev := <-hearer.heard:
				return string(ev.Topic) == "mine/x"
			case <-time.After(10 * time.Millisecond):
				return false
			}
		})
	}
}

// A call whose answer cannot come any more ends.
func TestLost(t *testing.T) {
	s := serve(t, map[string]int{})
	owner := s.dial(t, "wubsub")
	owner.own(t, s, "bots", "never")
	caller := s.dial(t, "webwire")
	outcome := make(chan error, 1)
	go func() {
		_, err := caller.Do(deadline(t), core.Command{Verb: core.Call, Topic: []byte("bots/never")})
		outcome <- err
	}()
	owner.hears(t)
	ctx, cancel := context.WithCancel(deadline(t))
	go func() {
		_, err := caller.Do(ctx, core.Command{Verb: core.Call, Topic: []byte("bots/never")})
		outcome <- err
	}()
	cancel()
	if err := coretest.Receive(t, "the given up call", outcome); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel() // without waiting for the goodbye
	caller.Close(done)
	if err := coretest.Receive(t, "the lost call", outcome); !errors.Is(err, client.ErrLost) {
		t.Errorf("lost: %v", err)
	}
	if _, err := caller.Do(deadline(t), core.Command{Verb: core.Call, Topic: []byte("bots/never")}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// What waits when a client is closed is said before it goes.
func TestCloseSaysWhatWaits(t *testing.T) {
	s := serve(t, map[string]int{})
	hearer := s.dial(t, "vws")
	hearer.do(t, core.Command{Verb: core.Subscribe, Topic: []byte("last"), Pattern: true})
	teller := s.dial(t, "wsify")
	const n = 1000
	for i := range n {
		if err := teller.Post(core.Command{Verb: core.Publish, Topic: []byte("last"), Payload: text(fmt.Sprintf("no %d", i))}, nil); err != nil {
			t.Fatal(err)
		}
	}
	teller.Close(deadline(t))
	for i := range n {
		if got := string(core.AppendText(nil, hearer.hears(t).Payload)); got != fmt.Sprintf("no %d", i) {
			t.Fatalf("heard %q as number %d", got, i)
		}
	}
}

// A client that is not to wait for a connection says so of each command while there is none, and of those
// that had not been said when it ended.
func TestFailAway(t *testing.T) {
	up, end := make(chan struct{}), make(chan struct{})
	url := upgraded(t, func(net.Conn) {
		select {
		case up <- struct{}{}:
			<-end // it reads nothing
		case <-t.Context().Done():
		}
	})
	lost := make(chan error, 100)
	c := at(t, client.Options{URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, FailAway: true, FirstPause: time.Millisecond, MaxPause: time.Millisecond, Changed: func(err error) {
		if err != nil {
			lost <- err
		}
	}})
	say := func(size int) error {
		_, err := c.Do(deadline(t), core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text(strings.Repeat("x", size))})
		return err
	}
	coretest.Receive(t, "a connection", up)
	coretest.Eventually(t, "a command is said", func() bool { return say(1) == nil })
	outcomes := make(chan error, 100)
	for range cap(outcomes) { // more than the kernel takes
		if err := c.Post(core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text(strings.Repeat("x", 150_000))}, func(_ core.Event, err error) { outcomes <- err }); err != nil {
			t.Fatal(err)
		}
	}
	end <- struct{}{}
	coretest.Receive(t, "the end of the connection", lost)
	for range cap(outcomes) {
		if err := coretest.Receive(t, "an outcome", outcomes); err != nil && !errors.Is(err, client.ErrLost) {
			t.Errorf("what waited: %v", err)
		}
	}
	coretest.Receive(t, "another connection", up)
	coretest.Eventually(t, "a command is said again", func() bool { return say(1) == nil })
	close(end)
	never := at(t, client.Options{URL: fmt.Sprintf("ws://127.0.0.1:%d/", coretest.FreePort(t)), Codec: codecOf(t, "wsify"), FailAway: true})
	if _, err := never.Do(deadline(t), core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text("x")}); !errors.Is(err, client.ErrAway) {
		t.Errorf("without a connection: %v", err)
	}
}

// Of what has no outcome, a client tells how much the server may not have read: what came behind the last ping
// that it has answered.
func TestUnconfirmed(t *testing.T) {
	for name, answers := range map[string]bool{"a server that answers pings": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			const read, n = 9, 25
			confirmed, heard, said := make(chan struct{}), make(chan struct{}), make(chan struct{})
			url := upgraded(t, func(conn net.Conn) {
				for messages := 0; ; {
					f, err := ws.ReadFrame(conn)
					if err != nil {
						return
					}
					ws.Cipher(f.Payload, f.Header.Mask, 0)
					if f.Header.OpCode == ws.OpText {
						messages++
					}
					if !answers && messages == 1+read+1 { // with the subscription
						break
					}
					if f.Header.OpCode != ws.OpPing || !answers {
						continue
					}
					before := binary.BigEndian.Uint64(f.Payload)
					if before > read {
						break // the pong for all before has been heard
					}
					_ = ws.WriteFrame(conn, ws.NewPongFrame(f.Payload))
					if before == read {
						close(confirmed)
					}
				}
				close(heard)
				<-said
			})
			lost, unconfirmed := make(chan error, 100), make(chan int, 100)
			c := at(t, client.Options{
				URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, FirstPause: time.Hour, MaxPause: time.Hour,
				Unconfirmed: func(n int) { unconfirmed <- n },
				Changed: func(err error) {
					if err != nil {
						lost <- err
					}
				},
			})
			say := func() {
				t.Helper()
				if _, err := c.Do(deadline(t), core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text("hello")}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Do(deadline(t), core.Command{Verb: core.Subscribe, Topic: []byte("not a message")}); err != nil {
				t.Fatal(err)
			}
			for range read {
				say()
			}
			if answers {
				coretest.Receive(t, "a ping behind all", confirmed)
			}
			say()
			coretest.Receive(t, "the server reads no more", heard)
			for range n - 1 {
				say()
			}
			close(said)
			coretest.Receive(t, "the end of the connection", lost)
			select {
			case got := <-unconfirmed:
				if !answers || got != n {
					t.Errorf("%d messages are unconfirmed, want %d", got, n)
				}
			default:
				if answers {
					t.Error("nothing is told")
				}
			}
		})
	}
}

// A server that answers the goodbye has read what was said before it.
func TestNothingUnconfirmedAfterGoodbye(t *testing.T) {
	s := serve(t, map[string]int{})
	var unconfirmed atomic.Int64
	c, err := client.Dial(deadline(t), client.Options{
		URL: s.url("wsify"), Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, Unconfirmed: func(n int) { unconfirmed.Add(int64(n)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	say := func() {
		t.Helper()
		if err := c.Post(core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text("hello")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		say()
	}
	c.Close(deadline(t))
	if n := unconfirmed.Load(); n != 0 {
		t.Errorf("%d messages are unconfirmed", n)
	}
}

// A message that the server does not take is not said, and one that it just takes is.
func TestBoundToServer(t *testing.T) {
	for _, name := range []string{"wubsub", "wsify", "vws"} {
		t.Run(name, func(t *testing.T) {
			publish := func(size int) core.Command {
				return core.Command{Verb: core.Publish, Ref: []byte("r"), Topic: []byte("a/b"), Payload: text(strings.Repeat("x", size))}
			}
			codec := codecOf(t, name)().(core.BoundedClientCodec)
			said := 0
			say := func(c core.Command) error {
				_, err := codec.Say(c, func(f core.Frame) { said = len(f.Data) })
				return err
			}
			if err := say(publish(100)); err != nil {
				t.Fatal(err)
			}
			limit := said
			codec.Bound(limit)
			if err := say(publish(100)); err != nil || said != limit {
				t.Errorf("%d bytes of %d: %v", said, limit, err)
			}
			said = 0
			big, ok := errors.AsType[*core.TooBig](say(publish(101)))
			if !ok || *big != (core.TooBig{Size: limit + 1, Limit: limit}) || said != 0 {
				t.Errorf("one byte more: %v, and %d bytes were said", big, said)
			}
		})
	}
}

// What is queued without a connection is bounded.
func TestQueueIsBounded(t *testing.T) {
	c := client.New(client.Options{URL: fmt.Sprintf("ws://127.0.0.1:%d/", coretest.FreePort(t)), Codec: codecOf(t, "wsify"), QueueBytes: 10_000})
	var closed atomic.Int64
	posted := 0
	var err error
	for ; err == nil; posted++ {
		if posted > 1000 {
			t.Fatal("there is no bound")
		}
		err = c.Post(core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text("hello")}, func(_ core.Event, err error) {
			if errors.Is(err, client.ErrClosed) {
				closed.Add(1)
			}
		})
	}
	if f, ok := errors.AsType[core.Failure](err); !ok || f.Code != core.Overloaded {
		t.Errorf("the queue is full: %v", err)
	}
	c.Close(deadline(t))
	if got := closed.Load(); got != int64(posted-1) {
		t.Errorf("%d of %d orders were told that the client was closed", got, posted-1)
	}
}

// An attempt that fails says what is wrong there.
func TestWrongServers(t *testing.T) {
	s := serve(t, map[string]int{})
	status := func(code int, header map[string]string, body string) string {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			http.Error(w, body, code)
		}))
		t.Cleanup(h.Close)
		return strings.Replace(h.URL, "http", "ws", 1)
	}
	silent := make(chan struct{})
	t.Cleanup(func() { close(silent) })
	for _, c := range []struct{ name, url, format, want string }{
		{"nobody", fmt.Sprintf("ws://127.0.0.1:%d/", coretest.FreePort(t)), "wsify", "connection refused"},
		{"no WebSocket", status(200, nil, "hello"), "wsify", "the server refused: 200 OK: hello"},
		{"forbidden", status(403, nil, "not you"), "wsify", "the server refused: 403 Forbidden: not you"},
		{"elsewhere", status(301, map[string]string{"Location": "wss://new.example/ws"}, ""), "wsify", "the server redirects (301) to wss://new.example/ws: use that address"},
		{"no URL", "host:80", "wsify", "is no URL of a WebSocket"},
		{"a password", "ws://user:secret@127.0.0.1:1/?token=secret", "wsify", "connecting to ws://"},
		{"another format", s.url("stocking"), "webwire", "no message of a webwire server"},
		{"no greeting", upgraded(t, func(net.Conn) { <-silent }), "webwire", "did not greet"},
		{"closed at once", upgraded(t, func(c net.Conn) {
			_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(1013, "later")))
		}), "webwire", "the server closed the connection (1013 later)"},
		{"cut at once", upgraded(t, func(c net.Conn) { _ = c.Close() }), "webwire", "without a goodbye"},
		{"a masked frame", upgraded(t, func(c net.Conn) {
			_ = ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame([]byte("x"))))
			<-silent
		}), "webwire", "mask"},
		{"a huge frame", upgraded(t, func(c net.Conn) {
			_, _ = c.Write([]byte{0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0})
			<-silent
		}), "webwire", "over the limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			attempt := func(timeout time.Duration) error {
				_, err := client.Dial(deadline(t), client.Options{URL: c.url, Codec: codecOf(t, c.format), Timeout: timeout})
				return err
			}
			if c.name == "no greeting" {
				// On a busy machine the upgrade alone takes longer than a short time.
				timeout := 100 * time.Millisecond
				coretest.Eventually(t, "the greeting is missed", func() bool {
					timeout *= 2
					err := attempt(timeout)
					return err != nil && strings.Contains(err.Error(), c.want)
				})
				return
			}
			if err := attempt(coretest.Patience); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// upgraded is a server that answers the upgrade of each connection, and then does what after does. It
// returns its URL.
func upgraded(t *testing.T, after func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := ws.Upgrade(conn); err == nil {
					after(conn)
				}
			}()
		}
	}()
	return "ws://" + l.Addr().String() + "/"
}

// at connects a client without patience to a server that never says goodbye.
func at(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c := client.New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(ctx)
	})
	return c
}

// A client answers pings, and leaves a server that has answered one of its own and does so no more.
func TestPings(t *testing.T) {
	ponged, connections := make(chan string, 100), make(chan struct{}, 100)
	url := upgraded(t, func(conn net.Conn) {
		connections <- struct{}{}
		if err := ws.WriteFrame(conn, ws.NewPingFrame([]byte("are you there"))); err != nil {
			return
		}
		for answered := false; ; {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			switch f.Header.OpCode {
			case ws.OpPong:
				ws.Cipher(f.Payload, f.Header.Mask, 0)
				ponged <- string(f.Payload)
			case ws.OpPing:
				if !answered {
					ws.Cipher(f.Payload, f.Header.Mask, 0)
					_ = ws.WriteFrame(conn, ws.NewPongFrame(f.Payload))
					answered = true
				}
			}
		}
	})
	var why atomic.Value
	at(t, client.Options{
		URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, PingInterval: 20 * time.Millisecond, FirstPause: time.Millisecond,
		Changed: func(err error) {
			if err != nil {
				why.CompareAndSwap(nil, err.Error())
			}
		},
	})
	if got := coretest.Receive(t, "a pong", ponged); got != "are you there" {
		t.Errorf("the pong is %q", got)
	}
	for range 2 {
		coretest.Receive(t, "a connection", connections)
	}
	if got := why.Load(); got != "the server does not answer any more" {
		t.Errorf("it has left because of %v", got)
	}
}

// A message is bounded however many frames it comes in.
func TestMessageIsBounded(t *testing.T) {
	url := upgraded(t, func(conn net.Conn) {
		for _, f := range []ws.Frame{ws.NewFrame(ws.OpText, false, []byte(`"12345`)), ws.NewFrame(ws.OpContinuation, true, []byte(`67890"`))} {
			if err := ws.WriteFrame(conn, f); err != nil {
				return
			}
		}
		_, _ = ws.ReadFrame(conn)
	})
	for limit, want := range map[int]bool{11: false, 12: true} {
		heard, ended := make(chan core.Event, 1), make(chan error, 100)
		at(t, client.Options{
			URL: url, Codec: codecOf(t, "wsify"), MaxMessage: limit, FirstPause: time.Hour,
			Heard: func(ev core.Event) { heard <- ev.Clone() },
			Changed: func(err error) {
				if err != nil {
					ended <- err
				}
			},
		})
		if want {
			coretest.Receive(t, "the message", heard)
		} else if err := coretest.Receive(t, "the end", ended); !strings.Contains(err.Error(), "over the limit") {
			t.Errorf("it ends with %v", err)
		}
	}
}

// A client says when it has heard all that it has read, also what came behind the upgrade, and before it
// says that the connection has ended.
func TestLull(t *testing.T) {
	const texts, early = 3, 2
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	lulled, more := make(chan int, 1000), make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var response bytes.Buffer
		if _, err := ws.Upgrade(struct {
			io.Reader
			io.Writer
		}{conn, &response}); err != nil {
			return
		}
		// One write, most of which is usually read at once.
		for range early {
			_ = ws.WriteFrame(&response, ws.NewTextFrame([]byte(`"hello"`)))
		}
		_, _ = conn.Write(response.Bytes())
		<-more
		for range texts - early {
			_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte(`"hello"`)))
		}
		_, _ = conn.Write([]byte{0x83, 0}) // there is no such opcode
		_, _ = ws.ReadFrame(conn)
	}()
	var heard int // owned by the client's goroutine
	ended := make(chan int, 100)
	var last atomic.Int64
	at(t, client.Options{
		URL: "ws://" + l.Addr().String() + "/", Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, FirstPause: time.Hour,
		Heard: func(core.Event) { heard++ },
		Lull: func() func() {
			if heard > 0 {
				last.Store(int64(heard))
				lulled <- heard
			}
			return nil
		},
		Changed: func(err error) {
			if err != nil {
				ended <- int(last.Load())
			}
		},
	})
	for got := 0; got != early; {
		got = coretest.Receive(t, "a lull", lulled)
	}
	close(more)
	if got := coretest.Receive(t, "the end", ended); got != texts {
		t.Errorf("the connection ends when %d messages were followed by a lull, want %d", got, texts)
	}
}

// forgetful is a codec that says what it was told to forget.
type forgetful struct {
	core.ClientCodec
	forgot chan string
}

func (f forgetful) Forget(ref []byte) {
	f.ClientCodec.Forget(ref)
	f.forgot <- string(ref)
}

// The codec keeps nothing of an outcome that nobody waits for any more.
func TestForgotten(t *testing.T) {
	silent := make(chan struct{})
	t.Cleanup(func() { close(silent) })
	heard, forgot := make(chan struct{}, 1), make(chan string, 1)
	url := upgraded(t, func(conn net.Conn) {
		if _, err := ws.ReadFrame(conn); err == nil {
			heard <- struct{}{}
		}
		<-silent
	})
	codec := codecOf(t, "vws")
	c := at(t, client.Options{URL: url, Codec: func() core.ClientCodec { return forgetful{codec(), forgot} }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-heard
		cancel()
	}()
	if _, err := c.Do(ctx, core.Command{Verb: core.Subscribe, Topic: []byte("t"), Pattern: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("Do ends with %v", err)
	}
	coretest.Receive(t, "what is forgotten", forgot)
}

// beating is a codec that has nothing to say but that it is there.
type beating struct{ core.ClientCodec }

func (beating) KeepAlive() (time.Duration, core.Frame) {
	return 50 * time.Millisecond, core.Frame{Kind: core.TextFrame, Data: []byte("here")}
}

// What keeps an idle connection open is said however often pings are sent.
func TestKeepAlive(t *testing.T) {
	beats := make(chan struct{}, 100)
	url := upgraded(t, func(conn net.Conn) {
		for {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpText {
				beats <- struct{}{}
			}
		}
	})
	codec := codecOf(t, "wsify")
	at(t, client.Options{URL: url, PingInterval: 5 * time.Millisecond, Codec: func() core.ClientCodec { return beating{codec()} }})
	for range 3 {
		coretest.Receive(t, "a beat", beats)
	}
}
