package conversations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core/coretest"
)

// parrot is a WebSocket server that obeys commands in text messages, and echoes every other
// message.
type parrot struct{ conn net.Conn }

// startParrot returns the address of a server with a parrot on every connection.
func startParrot(t *testing.T) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/metrics":
			fmt.Fprintln(w, `seen_total{kind="a"} 2`)
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Query", r.URL.RawQuery)
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write(body)
		case r.Header.Get("X-Refuse") != "":
			http.Error(w, "no", http.StatusForbidden)
		default:
			conn, _, _, err := ws.UpgradeHTTP(r, w)
			if err != nil {
				return
			}
			defer conn.Close()
			p := parrot{conn}
			for p.answer() {
			}
		}
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(strings.Replace(s.URL, "http://", "ws://", 1))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// answer handles one frame; false ends the connection.
func (p *parrot) answer() bool {
	f, err := ws.ReadFrame(p.conn)
	if err != nil {
		return false
	}
	f = ws.UnmaskFrameInPlace(f)
	switch f.Header.OpCode {
	case ws.OpPing:
		return p.write(ws.NewPongFrame(f.Payload))
	case ws.OpClose:
		p.write(f)
		return false
	case ws.OpPong:
		return p.write(ws.NewTextFrame([]byte("pong " + string(f.Payload))))
	}
	switch string(f.Payload) {
	case "hush":
		return true
	case "quit":
		return false
	case "reset":
		return p.conn.(*net.TCPConn).SetLinger(0) != nil
	case "close":
		p.write(ws.NewCloseFrame(ws.NewCloseFrameBody(1009, "too big")))
		return false
	case "ping":
		return p.write(ws.NewPingFrame([]byte("are you there")))
	case "masked":
		return p.write(ws.MaskFrame(ws.NewTextFrame([]byte("x"))))
	case "pieces":
		return p.write(ws.NewFrame(ws.OpText, false, []byte(`{"a"`))) &&
			p.write(ws.NewPingFrame(nil)) && p.write(ws.NewFrame(ws.OpContinuation, true, []byte(`:1}`)))
	}
	return p.write(f)
}

func (p *parrot) write(f ws.Frame) bool { return ws.WriteFrame(p.conn, f) == nil }

// playText plays a script against a parrot.
func playText(t *testing.T, text string) error {
	t.Helper()
	s, err := Parse("test.txt", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "timeout ") {
		s.Timeout = coretest.Patience
	}
	p, err := NewPlayer(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	u := startParrot(t)
	return p.Play(context.Background(), map[string]*url.URL{"bird": u, "admin": u})
}

func TestPlayed(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"echo", "a > {\"n\":1}\na < {\"n\":1}"},
		{"capture and use", "a > {\"id\":\"x\"}\na < {\"id\":$id}\na > [${id}]\na <= [\"x\"]"},
		{"bytes", "a >b 00 ff \"hi\"\na <b 00 * \"i\""},
		{"text as bytes", "a >t \"hi\\n\" 00\na <t \"hi\" * 00"},
		{"text of bytes", "a >t \"\"\na <= "},
		{"raw frame", "a >raw 81 81 00 00 00 00 \"q\"\na < q\nsync a"},
		{"close", "a >close 1000 bye\na <close 1000 bye\na <eof"},
		{"server closes", "a > close\na <close 1009 too big\na <end"},
		{"any close", "a > close\na <close *"},
		{"any code", "a > close\na <close * too big"},
		{"eof", "a > quit\na <eof"},
		{"reset", "a > reset\na <reset"},
		{"end by reset", "a > reset\na <end"},
		{"pings are answered", "a > ping\na <ping are you there\na < pong are you there"},
		{"pings are passed over", "a > ping\na < pong*"},
		{"ping and pong", "a >ping hello\na <pong hello"},
		{"no pong", "connect b bird nopong\nb > ping\nb <ping\nb silence"},
		{"pieces", "a > pieces\na < {\"a\":1}\na < pong*"},
		{"silence", "a > hush\na silence\na silence 20ms"},
		{"repeat", "repeat 3 a > {\"i\":${i}}\nrepeat 3 a < {\"i\":${i}}"},
		{"repeat a block", "repeat 3\n  a > [${i}]\n  a < [${i}]"},
		{"big", "a > ${repeat 200000 x}\na < ${repeat 200000 x}"},
		{"sync leaves messages", "a > one\nconnect b bird\na < one"},
		{"stall", "a stall\na > one\nconnect b bird\na resume\na < one"},
		{"cut", "a > one\na cut"},
		{"abort", "a > one\na abort"},
		{"refused", "connect b bird header \"X-Refuse: 1\" => 403\n  header Content-Type: text/plain*\n  no header X-Foo\n  body no*"},
		{"dialled", "dial b bird\nb >raw \"GET / HTTP/1.1\\r\\n\\r\\n\"\nb <status 400\n  header Connection: close\nb <end"},
		{"upgraded by hand", "dial b bird\nb >raw \"GET / HTTP/1.1\\r\\nHost: h\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n" +
			"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n\"\nb <status 101\nb > hi\nb < hi"},
		{"http", "http POST bird /x?y=1\n  body {\"a\":1}\n  => 201\n  header X-Query: y=1\n  body {\"a\":*}"},
		{"http with a variable", "a > x y\na < $v\nhttp POST bird \"/x?y=${query v}\"\n  => 201\n  header X-Query: y=x+y"},
		{"pause", "a > x\npause 1ms\na < x"},
		{"metric", "metric seen_total{kind=\"a\"} == 2\nmetric seen_total >= 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := playText(t, "connect a bird\n"+c.script); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, script string
		line         int
		parts        []string
	}{
		{"other text", "a > one\na < two", 4, []string{"expected: text two", "arrived:  text one", "> text one"}},
		{
			"other number", "a > {\"n\":9007199254740992}\na < {\"n\":9007199254740993}", 4,
			[]string{"$.n is 9007199254740992 and not 9007199254740993"},
		},
		{"other bytes", "a > [1, 2]\na <= [1,2]", 4, []string{"the bytes differ"}},
		{"other kind", "a >b 01\na < *", 4, []string{"arrived:  binary 01"}},
		{"other bytes", "a >t \"a\\nb\"\na <t \"a\\nc\"", 4, []string{"because:  the bytes differ"}},
		{"nothing", "a > hush\na < *", 4, []string{"nothing within "}},
		{"other close code", "a > close\na <close 1000", 4, []string{`close 1009 "too big"`, "the codes differ"}},
		{"other reason", "a > close\na <close 1009", 4, []string{"the reasons differ"}},
		{"no close frame", "a > quit\na <close *", 4, []string{"arrived:  eof"}},
		{"reset is no eof", "a > reset\na <eof", 4, []string{"arrived:  reset"}},
		{"masked frame", "a > masked\na < x", 4, []string{"broken frame"}},
		{"no silence", "a > one\na silence", 4, []string{"expected: nothing"}},
		{"no silence for a while", "a > one\na silence 3m", 4, []string{"nothing for 3m"}},
		{"left over", "a > one", 3, []string{"nothing more on a", "end of the script"}},
		{"ended unasked", "a > close", 3, []string{"nothing more on a", "close 1009"}},
		{"upgrade not refused", "connect b bird => 403", 3, []string{"expected: 403", "arrived:  101"}},
		{"upgrade refused", "connect b bird header \"X-Refuse: 1\"", 3, []string{"expected: 101", "arrived:  403"}},
		{"unknown endpoint", "connect b fish", 3, []string{`no endpoint "fish"`, "admin, bird"}},
		{"unknown variable", "a > ${x}", 3, []string{"$x has no value"}},
		{"stalled", "a > one\na stall\na < one", 5, []string{"a is stalled"}},
		{"metric", "metric seen_total{kind=\"b\"} >= 1", 3, []string{"arrived:  0", `seen_total{kind="a"} 2`}},
		{"http body", "http POST bird /\n  body x\n  => 201\n  body y", 3, []string{`201 Created with body "y"`, "body x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// Most fail at once. Those that time out must leave enough time for the steps before.
			timeout := coretest.Patience
			if c.name == "nothing" || c.name == "metric" {
				timeout = 100 * time.Millisecond
			}
			var f *Failure
			for ; ; timeout *= 4 {
				err := playText(t, fmt.Sprintf("timeout %s\nconnect a bird\n%s", timeout, c.script))
				if !errors.As(err, &f) {
					t.Fatalf("got %v, want a failure", err)
				}
				if f.Line == c.line || timeout >= coretest.Patience {
					break
				}
			}
			if f.File != "test.txt" || f.Line != c.line {
				t.Errorf("failed at %s:%d, want line %d", f.File, f.Line, c.line)
			}
			for _, part := range c.parts {
				if !strings.Contains(f.Error(), part) {
					t.Errorf("the report lacks %q:\n%v", part, f)
				}
			}
		})
	}
}

// TestImplicitSync expects a ping before another connection acts, and none with nosync.
func TestImplicitSync(t *testing.T) {
	for _, c := range []struct {
		name, script string
		syncs        int
	}{
		{"another connection acts", "connect a bird\nconnect b bird\na > hush\na > hush\nb silence 1ms\nb >close\nb <close\na >close\na <close", 1},
		{"nosync", "nosync\nconnect a bird\nconnect b bird\na > hush\nb silence 1ms", 0},
		{"nosync of one", "connect a bird\nconnect b bird\na nosync\na > hush\nb silence 1ms\nb >close\nb <close", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse("test.txt", []byte(c.script))
			if err != nil {
				t.Fatal(err)
			}
			p, err := NewPlayer(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Play(context.Background(), map[string]*url.URL{"bird": startParrot(t)}); err != nil {
				t.Fatal(err)
			}
			if p.syncs != c.syncs {
				t.Errorf("%d syncs, want %d", p.syncs, c.syncs)
			}
		})
	}
}

// TestWebhook sends requests to a webhook as a broker would.
func TestWebhook(t *testing.T) {
	s, err := Parse("test.txt", []byte("---\nurl: ${webhook.auth}/x\n---\nwebhook auth\n"+
		"auth answers join 403 after 1ms\n  header X-A: ${webhook.auth}\nauth answers leave drop\n"+
		"http POST auth / => 200\nauth got *\n"+
		"http POST auth /\n  header Content-Type: application/json\n  body {\"command\":\"join\",\"x\":1}\n"+
		"  => 403\n  header X-A: ${webhook.auth}\n  no body\n"+
		"auth got {\"command\":\"join\",...}\n  header Content-Type: application/json\n"+
		"auth silence 1ms\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlayer(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	config, err := p.Config(nil)
	address, ok := strings.CutPrefix(strings.TrimSpace(config), "url: ")
	if err != nil || !ok {
		t.Fatalf("config %q, %v", config, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Play(context.Background(), map[string]*url.URL{"auth": u}); err != nil {
		t.Fatal(err)
	}
	if response, err := http.Post(address, "application/json", strings.NewReader(`{"command":"leave"}`)); err == nil {
		response.Body.Close()
		t.Errorf("a dropped request was answered with %s", response.Status)
	}
}

// TestWebhookHold expects a held request to be answered after its release and not before.
func TestWebhookHold(t *testing.T) {
	h, err := newWebhook("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	h.answer("join", answer{status: http.StatusAccepted, hold: true})
	status := make(chan int, 1)
	go func() {
		defer close(status)
		response, err := http.Post(h.url, "application/json", strings.NewReader(`{"command":"join"}`))
		if err == nil {
			response.Body.Close()
			status <- response.StatusCode
		}
	}()
	<-h.got
	select {
	case got := <-status:
		t.Fatalf("answered with %d before the release", got)
	case <-time.After(20 * time.Millisecond):
	}
	h.release()
	if got := <-status; got != http.StatusAccepted {
		t.Errorf("answered with %d", got)
	}
}
