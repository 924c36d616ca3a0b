package network

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

// compressor is a client's compressor that keeps its context.
type compressor struct {
	out bytes.Buffer
	w   interface {
		Write([]byte) (int, error)
		Flush() error
	}
}

func newCompressor(window int) *compressor {
	c := new(compressor)
	var err error
	if window == 1<<maxWindow {
		c.w, err = stdflate.NewWriter(&c.out, 9)
	} else {
		c.w, err = flate.NewWriterWindow(&c.out, window)
	}
	if err != nil {
		panic(err)
	}
	return c
}

// squeeze returns the compressed form of p, which may refer to what came before.
func (c *compressor) squeeze(p []byte) []byte {
	c.out.Reset()
	_, _ = c.w.Write(p)
	_ = c.w.Flush()
	return bytes.Clone(bytes.TrimSuffix(c.out.Bytes(), []byte("\x00\x00\xff\xff")))
}

// frame returns p as a client's compressed message.
func (c *compressor) frame(op ws.OpCode, p []byte) []byte {
	f := ws.NewFrame(op, true, c.squeeze(p))
	f.Header.Rsv = 4
	return ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4}))
}

// TestContextTakeover: a client that has not offered to drop its window is understood from
// message to message, whatever their sizes, even with uncompressed ones between.
func TestContextTakeover(t *testing.T) {
	for _, tt := range []struct {
		offer  string
		window int
	}{
		{"permessage-deflate", 1 << 15},
		{"permessage-deflate; client_max_window_bits", 1 << 15},
		{"permessage-deflate; client_max_window_bits=9", 1 << 9},
		{"permessage-deflate; server_max_window_bits=10; client_max_window_bits=12", 1 << 12},
	} {
		t.Run(tt.offer, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, uint64(tt.window)))
			r := start(t, nil)
			c, _ := r.dialDeflate("echo", tt.offer)
			z := newCompressor(tt.window)
			sent := 0
			for i := range 60 {
				text := []byte(strings.Repeat(fmt.Sprintf("message %d of %d; ", rnd.IntN(9), i), 1+rnd.IntN(1<<rnd.IntN(13))))
				if i%7 == 3 {
					c.write(masked(ws.OpText, true, string(text)))
				} else {
					c.write(z.frame(ws.OpText, text))
					sent += len(text)
				}
				got := c.read()
				if got.Header.Rsv&4 != 0 {
					plain, err := inflated(got.Payload, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					got.Payload = plain
				}
				if !bytes.Equal(got.Payload, text) {
					t.Fatalf("message %d: got %.60q, want %.60q", i, got.Payload, text)
				}
				on(t, r.hub.newest(), func(*conn) {})
				if n := r.Inbound(); n > int64(min(tt.window, 2*sent)) {
					t.Fatalf("message %d: after %d bytes %d are counted", i, sent, n)
				}
			}
			if n := r.Inbound(); n != int64(tt.window) {
				t.Errorf("%d bytes are counted, want the window", n)
			}
			_ = c.Close()
			eventually(t, "the window is given up", func() bool { return r.Inbound() == 0 && r.windows.reserved.Load() == 0 })
		})
	}
}

// TestWindowsAreBounded: the windows leave half of the budget to messages. Further
// clients get no compression, except those that keep no window.
func TestWindowsAreBounded(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.InboundBudget = 128 << 10 })
	one, _ := r.dialDeflate("echo", "permessage-deflate")
	r.dialDeflate("echo", "permessage-deflate; client_max_window_bits")
	if _, answer := r.dialDeflate("echo", "permessage-deflate"); answer != "" {
		t.Errorf("the third has %q", answer)
	}
	if _, answer := r.dialDeflate("echo", "permessage-deflate, permessage-deflate; client_no_context_takeover"); answer == "" {
		t.Error("one that keeps no window has no compression")
	}
	refused := r.dialTCP("echo")
	refused.write([]byte("GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n\r\n"))
	refused.readResponse("HTTP/1.1 400 ")
	_ = one.Close()
	eventually(t, "a window is free", func() bool { return r.windows.reserved.Load() == 1<<15 })
	if _, answer := r.dialDeflate("echo", "permessage-deflate"); answer == "" {
		t.Error("the place of one that left is not free")
	}
}

// TestHistory compares a history with the end of everything added to it.
func TestHistory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 100 {
		h := &history{window: 1 << (8 + rnd.IntN(8))}
		var all []byte
		for range 50 {
			b := make([]byte, rnd.IntN(1<<rnd.IntN(17)))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			h.add(b)
			all = append(all, b...)
			if want := all[max(0, len(all)-h.window):]; !bytes.Equal(h.past, want) {
				t.Fatalf("window %d: it is not the end of what was put into it", h.window)
			}
			if cap(h.past) > h.window || cap(h.past) > 2*len(all) {
				t.Fatalf("window %d: %d bytes take %d", h.window, len(all), cap(h.past))
			}
		}
	}
}

// BenchmarkInflate inflates messages of 1 KiB, by clients that keep a window and by
// others.
func BenchmarkInflate(b *testing.B) {
	text := []byte(strings.Repeat("0123456789abcdef", 64))
	for _, h := range []*history{nil, {window: 1 << maxWindow}} {
		b.Run(fmt.Sprintf("window=%v", h != nil), func(b *testing.B) {
			c := newCompressor(1 << maxWindow)
			first, next := c.squeeze(text), c.squeeze(text)
			if h == nil {
				next = first
			} else if _, err := takeInflater().inflate(first, 1<<20, h); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				z := takeInflater()
				if _, err := z.inflate(next, 1<<20, h); err != nil {
					b.Fatal(err)
				}
				giveInflater(z)
			}
		})
	}
}
