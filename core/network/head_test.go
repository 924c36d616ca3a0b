package network

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadHead(t *testing.T) {
	request := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	buf, end, err := readHead(iotest.OneByteReader(strings.NewReader(request+"rest")), 8192)
	if err != nil || string(buf[:end]) != request {
		t.Fatalf("byte by byte: %q, %v", buf[:end], err)
	}
	buf, end, err = readHead(strings.NewReader(request+"rest"), 8192)
	if err != nil || string(buf[:end]) != request || string(buf[end:]) != "rest" {
		t.Fatalf("at once: %q %q, %v", buf[:end], buf[end:], err)
	}
	for i := range request {
		if _, _, err := readHead(strings.NewReader(request[:i]), 8192); err == nil {
			t.Fatalf("a head cut at %d is taken", i)
		}
	}
	// A byte or a line is enough to see that input is not a request.
	for begin, want := range map[string]error{
		"\x16": errWantsTLS, "\r": errRequestLine, "\x00": errRequestLine, " ": errRequestLine, "GET / HTTP/1.1\n": errLineEnd, "GET / HTTP/1.1\r\nHost: a\n\n": errLineEnd,
		"GET /\r\n": errRequestLine, "SSH-2.0-x\r\n": errRequestLine, "PROXY UNKNOWN\r\n": errWantsProxy, "\r\n\r\n\x00\r\nQUIT\n": errWantsProxy,
	} {
		if _, _, err := readHead(strings.NewReader(begin), 8192); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", begin, err, want)
		}
	}
	if _, _, err := readHead(iotest.OneByteReader(strings.NewReader("PROXY UNKNOWN\r\n")), 8192); !errors.Is(err, errWantsProxy) {
		t.Errorf("a PROXY header byte by byte: %v", err)
	}
	long := "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n"
	if _, _, err := readHead(strings.NewReader(long), 8192); !errors.Is(err, errHeadTooLarge) {
		t.Fatalf("a long head: %v", err)
	}
	exact := "GET / HTTP/1.1\r\nX: "
	exact += strings.Repeat("x", 8192-len(exact)-4) + "\r\n\r\n"
	if _, end, err := readHead(strings.NewReader(exact), 8192); err != nil || end != 8192 {
		t.Fatalf("a head of exactly the limit: %d, %v", end, err)
	}
}

// slowHead is a client that sends a byte at a time, and records how large its buffer is.
type slowHead struct {
	sent, most int
	room       int // kept at most, in bytes
	t          *testing.T
}

func (c *slowHead) Read(b []byte) (int, error) {
	if c.room = max(c.room, c.sent+len(b)); c.room > max(firstRead, 2*c.sent) {
		c.t.Fatalf("%d bytes are kept for a client that has sent %d", c.room, c.sent)
	}
	if c.sent++; c.sent > c.most {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(b, "x"), nil
}

// TestHeadGrowsWithWhatArrives: however long a head may be, a slow sender takes about as
// much memory as it has sent.
func TestHeadGrowsWithWhatArrives(t *testing.T) {
	for _, most := range []int{0, 1, firstRead, 5000, 64<<10 - 1} {
		if _, _, err := readHead(&slowHead{most: most, t: t}, 64<<10); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", most, err)
		}
	}
}

func TestParseHead(t *testing.T) {
	ws := "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	tests := []struct {
		name, head string
		upgrade    bool
		wantErr    string
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, ""},
		{"upgrade", "GET /x HTTP/1.1\r\nHost: a\r\n" + ws + "\r\n", true, ""},
		{"upgrade among others, in capitals", "GET /x HTTP/1.1\r\nHost: a\r\nUPGRADE: h2c, WebSocket\r\n\r\n", true, ""},
		{"body of no bytes on an upgrade", "GET / HTTP/1.1\r\n" + ws + "Content-Length: 0\r\n\r\n", true, ""},
		{"length and encoding", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false, "both"},
		{"two encodings", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", false, "duplicate Transfer-Encoding"},
		{"chunked behind another", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, "Transfer-Encoding"},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", false, "HTTP/1.0"},
		{"a length that is too long", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", false, "malformed Content-Length"},
		{"a length of two numbers", "POST / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n", false, "malformed Content-Length"},
		{"no fields", "GET / HTTP/1.0\r\n\r\n", false, ""},
		{"empty value", "GET / HTTP/1.1\r\nX:\r\n\r\n", false, ""},
		{"bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", false, "line end"},
		{"bare LF in a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", false, "line end"},
		{"bare CR", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", false, "control character"},
		{"NUL", "GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", false, "control character"},
		{"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", false, "malformed header"},
		{"folded line", "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n", false, "malformed header"},
		{"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", false, "malformed header"},
		{"two spaces", "GET  / HTTP/1.1\r\n\r\n", false, "request line"},
		{"no version", "GET /\r\n\r\n", false, "request line"},
		{"garbage", "\x16\x03\x01\r\n\r\n", false, "control character"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", false, "duplicate Host"},
		{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false, "duplicate Content-Length"},
		{"two keys", "GET / HTTP/1.1\r\n" + ws + "Sec-WebSocket-Key: a\r\nSec-Websocket-Key: b\r\n\r\n", false, "duplicate Sec-WebSocket-Key"},
		{"body on an upgrade", "GET / HTTP/1.1\r\n" + ws + "Content-Length: 5\r\n\r\n", false, "body"},
		{"chunked upgrade", "GET / HTTP/1.1\r\n" + ws + "Transfer-Encoding: chunked\r\n\r\n", false, "body"},
		{"many fields", "GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 1001) + "\r\n", false, "too many"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := parseHead([]byte(tt.head), 1000)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || h.upgrade != tt.upgrade {
				t.Fatalf("upgrade %v, %v; want %v", h.upgrade, err, tt.upgrade)
			}
		})
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(upgradeRequest()))
	f.Add([]byte("GET / HTTP/1.1\r\nHost : a\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		buf, end, err := readHead(strings.NewReader(string(raw)), 8192)
		if err != nil {
			return
		}
		h, err := parseHead(buf[:end], 1000)
		if err != nil {
			return
		}
		for _, x := range h.fields {
			if strings.ContainsAny(string(x.name)+string(x.value), "\r\n\x00") {
				t.Fatalf("field %q: %q", x.name, x.value)
			}
		}
	})
}
