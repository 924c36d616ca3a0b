package network

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/codecs/echo"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// chatHub is the smallest engine: "sub", "pub TEXT", "fail", "panic", "hold" and
// "goodbye" as text commands of the chat format, one topic for everybody.
type chatHub struct {
	// Guarded by mu.
	mu        sync.Mutex
	audiences map[int]core.Audience
	outlet    core.Outlet
	links     []core.Link

	gone    chan core.Link
	held    chan core.Link
	leaving chan core.Link
}

func newChatHub() *chatHub {
	return &chatHub{
		audiences: map[int]core.Audience{},
		gone:      make(chan core.Link, 10000), held: make(chan core.Link, 16),
		leaving: make(chan core.Link, 1),
	}
}

func (h *chatHub) Connect(l core.Link) core.Peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links = append(h.links, l)
	h.outlet = l.Outlet()
	return &chatPeer{hub: h, link: l}
}

// newest returns the link that connected last.
func (h *chatHub) newest() core.Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.links[len(h.links)-1]
}

// publish sends text to all subscribers, on the topic before its colon.
func (h *chatHub) publish(text []byte, except core.Link) {
	h.mu.Lock()
	var to []core.Audience
	for _, a := range h.audiences {
		to = append(to, a)
	}
	outlet := h.outlet
	h.mu.Unlock()
	topic, _, _ := bytes.Cut(text, []byte(":"))
	outlet.Deliver(core.Event{Kind: core.Message, Topic: topic, Payload: core.Payload{Kind: core.Text, Data: text}}, to, except)
}

type chatPeer struct {
	hub  *chatHub
	link core.Link
	aud  core.Audience
	at   core.Member
}

func (p *chatPeer) Do(c core.Command) {
	switch c.Verb {
	case core.Ping:
		p.link.Tell(core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As})
	case core.Subscribe:
		p.hub.mu.Lock()
		p.aud = p.hub.audiences[p.link.Loop()]
		if p.aud == nil {
			p.aud = p.link.Outlet().NewAudience(p.link.Loop(), 0)
			p.hub.audiences[p.link.Loop()] = p.aud
		}
		p.hub.mu.Unlock()
		p.aud.Add(p.link, &p.at)
		p.link.Tell(core.Event{Kind: core.Done})
	case core.Publish:
		p.hub.publish(c.Payload.Data, nil)
	case core.CloseSession:
		p.link.Hold()
		p.hub.held <- p.link
	case core.OpenSession:
		panic("asked for")
	case core.Leave:
		p.link.Close(core.ReasonNormal)
	}
}

func (p *chatPeer) RequestUndeliverable(core.CallID, core.Reason) {}
func (p *chatPeer) Unwritten(core.Event)                          {}

func (p *chatPeer) Leaving() {
	select {
	case p.hub.leaving <- p.link:
	default: // nobody looks
	}
}

func (p *chatPeer) Refused(core.Reason, core.Failure) {}

func (p *chatPeer) Hears(string) bool { return p.aud != nil }

func (p *chatPeer) WasRefused(core.Verb, string) core.RefusedCommand { return core.RefusedCommand{} }

func (p *chatPeer) Holdings() core.Holdings { return core.Holdings{} }

func (p *chatPeer) Gone(core.Reason) {
	if p.aud != nil {
		p.aud.Remove(&p.at)
	}
	p.hub.gone <- p.link
}

// chat is the format of chatHub.
type chat struct{}

func (chat) NewCodec() core.Codec                   { return chat{} }
func (chat) Profile() core.Profile                  { return core.Profile{} }
func (chat) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), r.String() }

func (chat) Decode(f core.Frame, to core.Sink) error {
	word, rest, _ := bytes.Cut(f.Data, []byte(" "))
	switch string(word) {
	case "sub":
		to.Do(core.Command{Verb: core.Subscribe})
	case "pub":
		to.Do(core.Command{Verb: core.Publish, Payload: core.Payload{Kind: core.Text, Data: rest}})
	case "hold":
		to.Do(core.Command{Verb: core.CloseSession})
	case "panic":
		to.Do(core.Command{Verb: core.OpenSession})
	case "goodbye":
		to.Do(core.Command{Verb: core.Leave})
	case "echo":
		to.Do(core.Command{Verb: core.Ping, Ref: rest})
	default:
		to.Refuse(core.ReasonUnknownType, nil, core.Failure{Code: core.Invalid})
	}
	return nil
}

func (chat) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch ev.Kind {
	case core.Pong:
		return append(dst, ev.Ref...), core.TextFrame, nil
	case core.Done:
		return append(dst, "ok"...), core.TextFrame, nil
	case core.Failed:
		return append(dst, "what?"...), core.TextFrame, nil
	case core.Message:
		return append(dst, ev.Payload.Data...), core.TextFrame, nil
	}
	return dst, core.NoFrame, nil
}

func (c chat) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return c.Encode(dst, ev)
}

// rig is a running server with a chat endpoint "chat" and an echo endpoint "echo".
type rig struct {
	*Server
	t     testing.TB
	hub   *chatHub
	stats *core.Stats
}

// unhurried lets the clients of a test read their backlog in their own time when their
// connection ends, instead of cutting them.
func unhurried(o *Options) { o.lingerTime = coretest.Patience }

// start starts a rig; change may alter its options and its chat endpoint.
func start(t testing.TB, change func(o *Options, chat *Endpoint)) *rig {
	t.Helper()
	hub := newChatHub()
	// Clients that are refused after the test must not be logged by it.
	log := slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})
	o := Options{Hub: hub, Loops: 2, Logger: slog.New(log), HandshakeTimeout: coretest.Patience}
	ep := Endpoint{
		Endpoint: &core.Endpoint{Name: "chat", Protocol: "chat", Stats: &core.Stats{}},
		Format:   chat{},
		Listen:   "127.0.0.1:0", MaxMessage: 1 << 20, Settings: Settings{OutboundLimit: 1 << 20},
	}
	if change != nil {
		change(&o, &ep)
	}
	s := New(o)
	eps := []Endpoint{ep, {
		Endpoint: &core.Endpoint{Name: "echo", Protocol: "echo", Stats: &core.Stats{}},
		Format:   echo.Format{},
		Listen:   "127.0.0.1:0", MaxMessage: 1 << 20, Settings: Settings{OutboundLimit: 1 << 20},
	}}
	if err := s.Start(eps); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		// Clients that a test left behind do not answer the goodbye.
		_ = s.Shutdown(ctx, 0)
	})
	return &rig{Server: s, t: t, hub: hub, stats: ep.Stats}
}

// client is a raw WebSocket client.
type client struct {
	t testing.TB
	net.Conn
}

// dialTCP connects without an upgrade.
func (r *rig) dialTCP(endpoint string) *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.Addr(endpoint).String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(coretest.Deadline())
	return &client{r.t, nc}
}

// upgradeRequest is a proper request head; extra holds further header lines.
func upgradeRequest(extra ...string) string {
	return "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
		strings.Join(extra, "") + "\r\n"
}

// dial connects and upgrades.
func (r *rig) dial(endpoint string) *client {
	r.t.Helper()
	return r.dialTCP(endpoint).upgrade()
}

// upgrade upgrades a connection, and returns it.
func (c *client) upgrade() *client {
	c.t.Helper()
	c.write([]byte(upgradeRequest()))
	c.readResponse("HTTP/1.1 101 ")
	return c
}

// readResponse reads an HTTP response head.
func (c *client) readResponse(prefix string) string {
	c.t.Helper()
	head, err := c.response()
	if err != nil {
		c.t.Fatalf("reading response: %v after %q", err, head)
	}
	if !strings.HasPrefix(head, prefix) {
		c.t.Fatalf("response %q, want %q", head, prefix)
	}
	return head
}

// response reads an HTTP response head, byte by byte so that nothing after it is lost.
func (c *client) response() (string, error) {
	var head []byte
	var b [1]byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := c.Read(b[:]); err != nil {
			return string(head), err
		}
		head = append(head, b[0])
	}
	return string(head), nil
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// masked is a client frame.
func masked(op ws.OpCode, fin bool, payload string) []byte {
	f := ws.MaskFrameInPlaceWith(ws.NewFrame(op, fin, []byte(payload)), [4]byte{1, 2, 3, 4})
	return ws.MustCompileFrame(f)
}

func (c *client) send(text string) {
	c.t.Helper()
	c.write(masked(ws.OpText, true, text))
}

func (c *client) read() ws.Frame {
	c.t.Helper()
	f, err := ws.ReadFrame(c)
	if err != nil {
		c.t.Fatalf("reading frame: %v", err)
	}
	return f
}

func (c *client) expect(text string) {
	c.t.Helper()
	if f := c.read(); f.Header.OpCode != ws.OpText || string(f.Payload) != text {
		c.t.Fatalf("got %v %.100q, want text %.100q", f.Header.OpCode, f.Payload, text)
	}
}

func (c *client) expectClose(code ws.StatusCode) {
	c.t.Helper()
	f := c.read()
	if f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("got %v %.100q, want close %d", f.Header.OpCode, f.Payload, code)
	}
	if got, _ := ws.ParseCloseFrameData(f.Payload); got != code {
		c.t.Fatalf("close code %d, want %d", got, code)
	}
}

// eventually waits for cond; what describes it.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	coretest.Eventually(t, what, cond)
}
