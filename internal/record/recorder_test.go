package record

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/internal/relay"
)

// seeing is a recorder and what it has written.
type seeing struct {
	*recorder
	out bytes.Buffer
	c   *relay.Connection
}

func see(request, answer string) *seeing {
	s := &seeing{c: &relay.Connection{}}
	s.recorder = newRecorder(Options{Out: &s.out, Endpoint: "x", Path: "/"}.complete(), relay.NewQueue(1<<20), func() int64 { return 0 })
	s.piece(&relay.Piece{Of: s.c, Kind: relay.FromClient, Data: []byte(request)})
	s.piece(&relay.Piece{Of: s.c, Kind: relay.FromServer, Data: []byte(answer)})
	return s
}

const upgrade, switching = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"

func (s *seeing) said(k relay.Kind, frame ws.Frame) {
	if k == relay.FromClient {
		frame = ws.MaskFrame(frame)
	}
	s.piece(&relay.Piece{Of: s.c, Kind: k, Data: ws.MustCompileFrame(frame)})
}

func (s *seeing) text() string {
	s.end("")
	return s.out.String()
}

// A secret is in no place of a recording, whoever has said it, and wherever it is said again.
func TestSecrets(t *testing.T) {
	const secret = "s3cr3t-Value/42"
	head := func(line string) string {
		return strings.Replace(upgrade, "Host: h\r\n", "Host: h\r\n"+line+"\r\n", 1)
	}
	client := func(text string) func(*seeing) {
		return func(s *seeing) { s.said(relay.FromClient, ws.NewTextFrame([]byte(text))) }
	}
	server := func(text string) func(*seeing) {
		return func(s *seeing) { s.said(relay.FromServer, ws.NewTextFrame([]byte(text))) }
	}
	for name, say := range map[string]struct {
		request string
		say     func(*seeing)
	}{
		"bearer":              {request: head("Authorization: Bearer " + secret)},
		"basic":               {request: head("authorization: basic " + secret)},
		"digest":              {request: head(`Authorization: Digest username="a", response="` + secret + `"`)},
		"own header":          {request: head("X-Api-Key: " + secret)},
		"opaque header":       {request: head("X-Custom: " + secret + "abcdef0123456789")},
		"cookie":              {request: head("Cookie: a=b; any=" + secret)},
		"subprotocol":         {request: head("Sec-WebSocket-Protocol: bearer, " + secret)},
		"only subprotocol":    {request: head("Sec-WebSocket-Protocol: " + secret)},
		"query":               {request: strings.Replace(upgrade, "GET /", "GET /ws?a=b&Access_Token=s3cr3t-Value%2F42", 1)},
		"short query":         {request: strings.Replace(upgrade, "GET /", "GET /?key="+secret, 1)},
		"refused upgrade":     {request: strings.Replace(upgrade, "GET /", "GET /?password="+secret, 1)},
		"post":                {request: "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\nuser=ann&password=" + secret[:13]},
		"member":              {say: client(`{"d":{"password":"` + secret + `"}}`)},
		"deep member":         {say: client(`{"auth":{"a":[{"b":"` + secret + `"}]}}`)},
		"escaped":             {say: client(`{"passWord":"s3cr3t-Value\/42"}`)},
		"spaces":              {say: client(`{ "api-key" : "` + secret + `" }`)},
		"in a text":           {say: client(`4,1,token=` + secret)},
		"in a string":         {say: client(`{"url":"https://h/x?token=` + secret + `&b"}`)},
		"bearer in a string":  {say: client(`["Authorization: Bearer ` + secret + `"]`)},
		"of the server":       {say: server(`{"token":"` + secret + `"}`)},
		"text of the server":  {say: server(`your secret: ` + secret)},
		"binary":              {say: func(s *seeing) { s.said(relay.FromClient, ws.NewBinaryFrame([]byte("\x01token="+secret))) }},
		"behind what is too…": {say: client(`{"token":"` + secret + `","x":"` + strings.Repeat("x", 1000) + `"}`)},
		"fragments": {say: func(s *seeing) { // of one message
			s.said(relay.FromClient, ws.NewFrame(ws.OpText, false, []byte(`{"token":"s3cr3t-`)))
			s.said(relay.FromClient, ws.NewFrame(ws.OpContinuation, true, []byte(`Value/42"}`)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			request := say.request
			if request == "" {
				request = upgrade
			}
			answer := switching
			switch name {
			case "refused upgrade":
				answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
			case "post":
				answer = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + secret[:13]
			}
			s := see(request, answer)
			if say.say != nil {
				say.say(s)
			}
			// Of these two only the whole value is known to be secret.
			if answer == switching && name != "digest" && name != "opaque header" {
				// Again, by both, where nothing says that it is one.
				for _, k := range []relay.Kind{relay.FromClient, relay.FromServer} {
					s.said(k, ws.NewTextFrame([]byte(`{"x":"`+secret+`"}`)))
					s.said(k, ws.NewTextFrame([]byte("5,room,as "+secret+" said")))
					s.said(k, ws.NewTextFrame([]byte("{broken "+secret)))
					s.said(k, ws.NewBinaryFrame([]byte("\x00\x01"+secret+"\xff")))
				}
				s.said(relay.FromServer, ws.NewCloseFrame(ws.NewCloseFrameBody(1008, "not "+secret)))
			}
			if text := s.text(); strings.Contains(text, secret[:8]) || strings.Contains(text, fmt.Sprintf("%x", secret[:8])) {
				t.Error(text)
			}
		})
	}
}

// Compressed messages are recorded as they were before, also if they refer to earlier ones.
func TestCompression(t *testing.T) {
	s := see(upgrade, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, 9)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("abcdefgh", 30)
	for _, text := range []string{long, long + "!", "short"} {
		buf.Reset()
		_, _ = w.Write([]byte(text))
		_ = w.Flush()
		f := ws.NewTextFrame(bytes.Clone(bytes.TrimSuffix(buf.Bytes(), []byte{0, 0, 0xff, 0xff})))
		f.Header.Rsv = ws.Rsv(true, false, false)
		s.said(relay.FromServer, f)
	}
	if want := "c1 <= " + long + "\nc1 <= " + long + "!\nc1 <= short\n"; !strings.Contains(s.text(), want) {
		t.Error(s.out.String())
	}
}

// A request stands where it was sent, though its answer comes after what it has caused.
func TestOrderOfRequests(t *testing.T) {
	s := see(upgrade, switching)
	other := &relay.Connection{}
	s.piece(&relay.Piece{Of: other, Kind: relay.FromClient, Data: []byte("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")})
	s.said(relay.FromServer, ws.NewTextFrame([]byte("caused")))
	s.piece(&relay.Piece{Of: other, Kind: relay.FromServer, Data: []byte("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndo")})
	s.piece(&relay.Piece{Of: other, Kind: relay.FromServer, Data: []byte("ne")})
	s.piece(&relay.Piece{Of: other, Kind: relay.FromClient, Data: []byte("GET /b HTTP/1.1\r\nHost: h\r\n\r\n")})
	s.piece(&relay.Piece{Of: other, Kind: relay.ServerReset})
	if want := "connect c1 x\nhttp POST x /a\n  body {}\n  => 201\n  body done\nc1 <= caused\n# a request that was not answered: http GET x /b\n"; !strings.HasPrefix(s.text(), want) {
		t.Error(s.out.String())
	}
}

// What a server makes up is a variable, what a client has said before is compared.
func TestWhatVaries(t *testing.T) {
	s := see(upgrade, switching)
	const said, made = "550e8400-e29b-41d4-a716-446655440000", "650e8400-e29b-41d4-a716-446655440000"
	s.said(relay.FromClient, ws.NewTextFrame([]byte(`{"a":"`+said+`","t":"2026-01-01T00:00:00Z"}`)))
	s.said(relay.FromServer, ws.NewTextFrame([]byte(`{"a":"`+said+`","b":"`+made+`","t":"2026-01-01T00:00:00Z","u":"2026-01-01T00:00:01Z"}`)))
	s.said(relay.FromClient, ws.NewTextFrame([]byte(`about/`+made)))
	s.said(relay.FromServer, ws.NewTextFrame([]byte(`7,`+made+`,* at 2026-01-01 00:00:02`)))
	want := "c1 < {\"a\":\"" + said + "\",\"b\":$b,\"t\":\"2026-01-01T00:00:00Z\",\"u\":*}\nc1 > about/${text b}\nc1 < 7,${text b},\\* at *\n"
	if !strings.Contains(s.text(), want) {
		t.Error(s.out.String())
	}
}
