package network

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/polywire/polywire/core/coretest"
)

// dialDeflate connects with an offer and returns the answer.
func (r *rig) dialDeflate(endpoint, offer string) (*client, string) {
	r.t.Helper()
	c := r.dialTCP(endpoint)
	c.write([]byte(upgradeRequest("Sec-WebSocket-Extensions: " + offer + "\r\n")))
	_, answer, _ := strings.Cut(c.readResponse("HTTP/1.1 101 "), "Sec-WebSocket-Extensions: ")
	answer, _, _ = strings.Cut(answer, "\r\n")
	return c, answer
}

func TestDeflateOffers(t *testing.T) {
	const (
		ours = "permessage-deflate;server_no_context_takeover"
		both = ours + ";client_no_context_takeover"
	)
	tests := []struct{ offer, answer string }{
		{"permessage-deflate", ours},
		{"permessage-deflate; client_max_window_bits", ours},
		{"permessage-deflate; client_max_window_bits=9", ours + ";client_max_window_bits=9"},
		{"permessage-deflate; client_no_context_takeover", both},
		{"permessage-deflate; client_no_context_takeover; client_max_window_bits=9", both},
		{"permessage-deflate; server_no_context_takeover; client_max_window_bits=10", ours + ";client_max_window_bits=10"},
		{"permessage-deflate; server_max_window_bits=9", ours + ";server_max_window_bits=9"},
		{"permessage-deflate; server_max_window_bits=7, permessage-deflate", ours},
		{"permessage-deflate; unknown=1", ""},
		{"permessage-bzip2", ""},
	}
	r := start(t, nil)
	for _, tt := range tests {
		t.Run(tt.offer, func(t *testing.T) {
			_, answer := r.dialDeflate("echo", tt.offer)
			if got := strings.ReplaceAll(answer, "; ", ";"); got != tt.answer {
				t.Errorf("answer %q, want %q", got, tt.answer)
			}
		})
	}
	if _, answer := r.dialDeflate("chat", "permessage-deflate"); answer != "" {
		t.Errorf("a format without compression accepts: %q", answer)
	}
}

// TestDeflateEcho: the client is gobwas's own implementation of the extension.
func TestDeflateEcho(t *testing.T) {
	r := start(t, nil)
	for _, bits := range []wsflate.WindowBits{0, 9, 15} {
		offer := wsflate.Parameters{ServerMaxWindowBits: bits}
		d := ws.Dialer{
			Timeout:    coretest.Patience,
			Extensions: []httphead.Option{offer.Option()},
		}
		nc, br, _, err := d.Dial(context.Background(), "ws://"+r.Addr("echo").String()+"/")
		if err != nil {
			t.Fatal(err)
		}
		var in io.Reader = nc
		if br != nil {
			in = br
		}
		_ = nc.(*net.TCPConn).SetDeadline(coretest.Deadline())
		for _, n := range []int{0, 1, 127, 128, 5000, 60_000} {
			text := strings.Repeat("héllo ", n/6+1)[:n]
			if n > 0 {
				text = strings.ToValidUTF8(text, "?")
			}
			f, err := wsflate.CompressFrame(ws.NewTextFrame([]byte(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := ws.WriteFrame(nc, ws.MaskFrameInPlace(f)); err != nil {
				t.Fatal(err)
			}
			got, err := ws.ReadFrame(in)
			if err != nil {
				t.Fatal(err)
			}
			if packed, _ := wsflate.IsCompressed(got.Header); packed != (len(text) >= deflateFrom) {
				t.Errorf("window %d, %d bytes: compressed %v", bits, len(text), packed)
			} else if packed {
				if got, err = wsflate.DecompressFrame(got); err != nil {
					t.Fatal(err)
				}
			}
			if string(got.Payload) != text {
				t.Errorf("window %d, %d bytes: got %.40q", bits, n, got.Payload)
			}
		}
		_ = nc.Close()
	}
}

// TestDeflateIsEachClients: a compressed message of one client does not make the loop treat
// the next client's message as compressed.
func TestDeflateIsEachClients(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	squeezer, _ := r.dialDeflate("echo", "permessage-deflate")
	plain := r.dial("chat")
	f, err := wsflate.CompressFrame(ws.NewTextFrame([]byte("small")))
	if err != nil {
		t.Fatal(err)
	}
	squeezer.write(ws.MustCompileFrame(ws.MaskFrameInPlace(f)))
	squeezer.expect("small")
	plain.send("echo not compressed")
	plain.expect("not compressed")
}

func TestDeflateFaults(t *testing.T) {
	packed := func(op ws.OpCode, fin bool, payload []byte) []byte {
		f := ws.NewFrame(op, fin, payload)
		f.Header.Rsv = 4
		return ws.MustCompileFrame(ws.MaskFrameInPlace(f))
	}
	squeeze := func(s string) []byte {
		b, err := appendDeflated(nil, []byte(s), maxWindow)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := []struct {
		name   string
		stream []byte
		want   error
	}{
		{"bomb", packed(ws.OpText, true, squeeze(strings.Repeat("x", 10<<20))), errTooLarge},
		{"garbage", packed(ws.OpText, true, []byte("\xff\xff\xff\xff")), errInflate},
		{"compressed continuation", append(packed(ws.OpText, false, squeeze("x")), packed(ws.OpContinuation, true, nil)...), ws.ErrProtocolNonZeroRsv},
		{"compressed ping", packed(ws.OpPing, true, nil), ws.ErrProtocolNonZeroRsv},
		{"invalid UTF-8 inside", packed(ws.OpText, true, squeeze("a\xff")), errUTF8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := parser{maxMessage: 64 << 10, deflate: true}
			var r recorder
			if _, err := p.feed(bytes.Clone(tt.stream), &r); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// inflated returns the message whose compressed form is p.
func inflated(p []byte, limit int) ([]byte, error) {
	z := takeInflater()
	defer giveInflater(z)
	plain, err := z.inflate(p, limit, nil)
	return bytes.Clone(plain), err
}
