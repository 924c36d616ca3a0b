package network

import (
	"errors"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

func TestEcho(t *testing.T) {
	r := start(t, nil)
	c := r.dial("echo")
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 300_000} {
		text := strings.Repeat("x", n)
		c.send(text)
		c.expect(text)
	}
}

func TestFanOutKeepsOrderAndReachesEverybody(t *testing.T) {
	const receivers, messages = 50, 200
	r := start(t, nil)
	var all []*client
	for range receivers {
		c := r.dial("chat")
		c.send("sub")
		c.expect("ok")
		all = append(all, c)
	}
	pub := r.dial("chat")
	for i := range messages {
		pub.send("pub " + strings.Repeat(string(rune('a'+i%26)), i))
	}
	for _, c := range all {
		for i := range messages {
			c.expect(strings.Repeat(string(rune('a'+i%26)), i))
		}
	}
	if got := r.stats.MessagesOut.Load(); got != receivers*(messages+1) {
		t.Errorf("MessagesOut = %d, want %d", got, receivers*(messages+1))
	}
}

func TestCloseHandshake(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	c.write(masked(ws.OpClose, true, "\x03\xe8bye"))
	c.expectClose(1000)
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("read %d bytes after the close handshake, error %v", n, err)
	}
	_ = c.Close()
	eventually(t, "the connection is counted as closed", func() bool {
		return r.stats.Closed[core.ReasonNormal].Load() == 1 && r.stats.Open.Load() == 0
	})
}

// strict is the chat format that ends a connection over an unknown message.
type strict struct{ chat }

func (strict) NewCodec() core.Codec { return strict{} }

func (s strict) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	dst, kind, err := s.chat.Encode(dst, ev)
	if ev.Kind == core.Failed {
		err = &core.Violation{Reason: core.ReasonDenied, Err: errors.New("not here")}
	}
	return dst, kind, err
}

func TestViolationOfAnEventEndsTheConnectionBehindIt(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = strict{} })
	c := r.dial("chat")
	c.send("dance")
	c.expect("what?")
	c.expectClose(1008)
	if got := r.stats.Closed[core.ReasonDenied].Load(); got != 1 {
		t.Errorf("%d ends are counted, want 1", got)
	}
}

// versioned is the chat format with subprotocols.
type versioned struct{ chat }

func (versioned) Profile() core.Profile { return core.Profile{Subprotocols: []string{"v2", "v1"}} }

func TestSubprotocolOfTheFormatIsSelected(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = versioned{} })
	for offered, want := range map[string]string{
		"v1, v2, v3": "v2", "v1": "v1", "v3": "", "V2, v1": "v1", "": "",
	} {
		c := r.dialTCP("chat")
		c.write([]byte(upgradeRequest("Sec-WebSocket-Protocol: " + offered + "\r\n")))
		head := c.readResponse("HTTP/1.1 101 ")
		_, selected, _ := strings.Cut(head, "Sec-WebSocket-Protocol: ")
		if selected, _, _ = strings.Cut(selected, "\r\n"); selected != want {
			t.Errorf("of %q %q is selected, want %q", offered, selected, want)
		}
	}
}

// mute is the chat format that cannot write messages with a # in them.
type mute struct{ chat }

func (m mute) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if strings.Contains(string(ev.Payload.Data), "#") {
		return dst, core.NoFrame, errors.New("no # please")
	}
	return m.Encode(dst, ev)
}

func TestUnwritableMessageIsCountedForEachReceiver(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = mute{} })
	var all []*client
	for range 3 {
		c := r.dial("chat")
		c.send("sub")
		c.expect("ok")
		all = append(all, c)
	}
	for _, text := range []string{"a#", "b#", "c"} {
		all[0].send("pub " + text)
	}
	for _, c := range all {
		c.expect("c")
	}
	if got := r.stats.Dropped[core.ReasonUnwritable].Load(); got != 6 {
		t.Errorf("%d drops are counted, want 6", got)
	}
}
