package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core/coretest"
)

// recorder notes what a parser finds, a line for each frame.
type recorder struct {
	lines []string
	stop  int // the number of frames behind which to stop; 0 for never
}

func (r *recorder) note(op ws.OpCode, payload []byte) bool {
	r.lines = append(r.lines, fmt.Sprintf("%x %q", op, payload))
	return len(r.lines) != r.stop
}

func (r *recorder) onInflated(int)                              {}
func (r *recorder) onMessage(op ws.OpCode, payload []byte) bool { return r.note(op, payload) }
func (r *recorder) onControl(op ws.OpCode, payload []byte) bool { return r.note(op, payload) }

// parseChunks feeds stream in chunks and returns what was found.
func parseChunks(stream []byte, max int, size func() int) (string, error) {
	p := parser{maxMessage: max}
	var r recorder
	for len(stream) > 0 {
		n := min(size(), len(stream))
		chunk := bytes.Clone(stream[:n])
		used, err := p.feed(chunk, &r)
		if err != nil {
			return strings.Join(r.lines, "\n"), err
		}
		if used != n {
			return "", fmt.Errorf("used %d of %d", used, n)
		}
		stream = stream[n:]
	}
	return strings.Join(r.lines, "\n"), nil
}

func TestParser(t *testing.T) {
	frame := masked
	long := strings.Repeat("é", 40_000)
	tests := []struct {
		name   string
		stream []byte
		want   string
	}{
		{"text", frame(ws.OpText, true, "hello"), `1 "hello"`},
		{"binary", frame(ws.OpBinary, true, "\xff\x00"), `2 "\xff\x00"`},
		{"empty", frame(ws.OpText, true, ""), `1 ""`},
		{"two", append(frame(ws.OpText, true, "a"), frame(ws.OpText, true, "b")...), "1 \"a\"\n1 \"b\""},
		{"126", frame(ws.OpText, true, long[:126]), fmt.Sprintf("1 %q", long[:126])},
		{"65536", frame(ws.OpText, true, long[:65536]), fmt.Sprintf("1 %q", long[:65536])},
		{"fragments", bytes.Join([][]byte{
			frame(ws.OpText, false, "a"), frame(ws.OpContinuation, false, ""), frame(ws.OpContinuation, true, "b"),
		}, nil), `1 "ab"`},
		{"empty fragments", bytes.Join([][]byte{
			frame(ws.OpBinary, false, ""), frame(ws.OpContinuation, true, ""),
		}, nil), `2 ""`},
		{"control between fragments", bytes.Join([][]byte{
			frame(ws.OpText, false, "a"), frame(ws.OpPing, true, "p"), frame(ws.OpContinuation, true, "b"), frame(ws.OpPong, true, ""),
		}, nil), "9 \"p\"\n1 \"ab\"\na \"\""},
		{"rune across fragments", bytes.Join([][]byte{
			frame(ws.OpText, false, "\xf0\x9f"), frame(ws.OpContinuation, false, "\x98"), frame(ws.OpContinuation, true, "\x80"),
		}, nil), `1 "😀"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 1 << 20} {
				got, err := parseChunks(tt.stream, 1<<20, func() int { return size })
				if err != nil || got != tt.want {
					t.Fatalf("chunks of %d: %.200s, %v; want %.200s", size, got, err, tt.want)
				}
			}
		})
	}
}

func TestParserRefuses(t *testing.T) {
	header := func(b ...byte) []byte { return b }
	mask := []byte{0, 0, 0, 0}
	tests := []struct {
		name   string
		stream []byte
		want   error
	}{
		{"unmasked", header(0x81, 1, 'a'), ws.ErrProtocolMaskRequired},
		{"reserved bit", append(header(0xc1, 0x80), mask...), ws.ErrProtocolNonZeroRsv},
		{"reserved opcode", append(header(0x83, 0x80), mask...), ws.ErrProtocolOpCodeReserved},
		{"long control", append(header(0x89, 0xfe, 0, 126), mask...), ws.ErrProtocolControlPayloadOverflow},
		{"fragmented control", append(header(0x09, 0x80), mask...), ws.ErrProtocolControlNotFinal},
		{"continuation of nothing", append(header(0x80, 0x80), mask...), ws.ErrProtocolContinuationUnexpected},
		{"new message inside a message", append(masked(ws.OpText, false, "a"), masked(ws.OpText, true, "b")...), ws.ErrProtocolContinuationExpected},
		{"16-bit length of 125", append(header(0x81, 0xfe, 0, 125), mask...), errLength},
		{"64-bit length of 65535", append(header(0x81, 0xff, 0, 0, 0, 0, 0, 0, 255, 255), mask...), errLength},
		{"64-bit length with the top bit", append(header(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0), mask...), errLength},
		{"huge length", append(header(0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255), mask...), errTooLarge},
		{"one over", masked(ws.OpBinary, true, strings.Repeat("x", 1001)), errTooLarge},
		{"fragments one over", append(masked(ws.OpBinary, false, strings.Repeat("x", 600)), masked(ws.OpContinuation, true, strings.Repeat("x", 401))...), errTooLarge},
		{"invalid UTF-8", masked(ws.OpText, true, "a\xff"), errUTF8},
		{"cut UTF-8", masked(ws.OpText, true, "a\xc3"), errUTF8},
		{"invalid UTF-8 in an unfinished message", masked(ws.OpText, false, "\xf4\x90"), errUTF8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 3, 1 << 20} {
				if _, err := parseChunks(tt.stream, 1000, func() int { return size }); !errors.Is(err, tt.want) {
					t.Errorf("chunks of %d: error %v, want %v", size, err, tt.want)
				}
			}
		})
	}
	if got, err := parseChunks(masked(ws.OpBinary, true, strings.Repeat("x", 1000)), 1000, func() int { return 64 }); err != nil || len(got) != 1004 {
		t.Errorf("exactly the limit: %.20s, %v", got, err)
	}
}

func TestParserStopsBehindAFrame(t *testing.T) {
	stream := append(masked(ws.OpText, true, "a"), masked(ws.OpText, true, "b")...)
	p := parser{maxMessage: 10}
	r := recorder{stop: 1}
	used, err := p.feed(stream, &r)
	if err != nil || used != len(stream)/2 {
		t.Fatalf("used %d of %d, %v; want the first frame", used, len(stream), err)
	}
	if used, err = p.feed(stream[used:], &r); err != nil || used != len(stream)/2 || len(r.lines) != 2 {
		t.Fatalf("second frame: used %d, %v, %v", used, err, r.lines)
	}
}

// TestParserRandomStreams compares random streams in random chunks with the same
// stream in one chunk, and that with what was put in.
func TestParserRandomStreams(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var stream []byte
		var want []string
		for range 1 + rnd.IntN(5) {
			payload := strings.Repeat("aé😀", rnd.IntN(50))
			parts := 1 + rnd.IntN(4)
			op := ws.OpText
			for i := range parts {
				cut := rnd.IntN(len(payload) + 1)
				if i == parts-1 {
					cut = len(payload)
				}
				stream = append(stream, masked(op, i == parts-1, payload[:cut])...)
				op, payload = ws.OpContinuation, payload[cut:]
				if rnd.IntN(3) == 0 && i < parts-1 {
					stream = append(stream, masked(ws.OpPing, true, "ping")...)
					want = append(want, `9 "ping"`)
				}
			}
			want = append(want, "message")
		}
		whole, err := parseChunks(stream, 1<<20, func() int { return len(stream) })
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(whole, "\n") + 1; n != len(want) {
			t.Fatalf("%d frames, want %d", n, len(want))
		}
		cut, err := parseChunks(stream, 1<<20, func() int { return 1 + rnd.IntN(9) })
		if err != nil || cut != whole {
			t.Fatalf("in chunks %q, %v; whole %q", cut, err, whole)
		}
	}
}

func TestParserDoesNotAllocate(t *testing.T) {
	stream := masked(ws.OpText, true, strings.Repeat("x", 128))
	work := make([]byte, len(stream))
	p := parser{maxMessage: 1000}
	var r countOnly
	if n := testing.AllocsPerRun(100, func() {
		copy(work, stream)
		_, _ = p.feed(work, &r)
	}); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
	if r != 101 {
		t.Errorf("%d messages, want 101", r)
	}
}

type countOnly int

func (c *countOnly) onInflated(int)                   {}
func (c *countOnly) onMessage(ws.OpCode, []byte) bool { *c++; return true }
func (c *countOnly) onControl(ws.OpCode, []byte) bool { return true }

func FuzzParser(f *testing.F) {
	f.Add(masked(ws.OpText, true, "hello"), byte(1))
	f.Add(append(masked(ws.OpText, false, "h\xc3"), masked(ws.OpContinuation, true, "\xa9")...), byte(3))
	f.Add(append(masked(ws.OpBinary, true, ""), masked(ws.OpClose, true, "\x03\xe8")...), byte(2))
	f.Add([]byte{0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, byte(5))
	for _, message := range coretest.Said(f, "../../conversations/wsify/*.txt") {
		f.Add(masked(ws.OpText, true, string(message)), byte(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, size byte) {
		whole, errWhole := parseChunks(stream, 4096, func() int { return len(stream) })
		cut, errCut := parseChunks(stream, 4096, func() int { return 1 + int(size)%16 })
		if whole != cut || (errWhole == nil) != (errCut == nil) {
			t.Fatalf("whole %q %v, in chunks %q %v", whole, errWhole, cut, errCut)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	one := masked(ws.OpText, true, strings.Repeat("x", 128))
	stream := bytes.Repeat(one, 480)
	work := make([]byte, len(stream))
	p := parser{maxMessage: 1 << 20}
	var r countOnly
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		copy(work, stream)
		_, _ = p.feed(work, &r)
	}
}

func TestUTF8Stream(t *testing.T) {
	texts := []string{
		"", "a", "é", "😀", "κόσμε", "\u0000", "\U0010ffff", "\xff", "\xc0\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xe2\x82", "a\xe2\x82\xacb\xf0\x9f\x98\x80", "\x80", "\xf8", "é\xc3", "\xc3\xc3",
	}
	for _, text := range texts {
		for i := 0; i <= len(text); i++ {
			for j := i; j <= len(text); j++ {
				var u utf8Stream
				got := u.feed([]byte(text[:i]), false) && u.feed([]byte(text[i:j]), false) && u.feed([]byte(text[j:]), true)
				if want := utf8.ValidString(text); got != want {
					t.Errorf("%q cut at %d and %d: valid %v, want %v", text, i, j, got, want)
				}
			}
		}
	}
	// An invalid byte is found before the text ends.
	var u utf8Stream
	if u.feed([]byte("a\xf4\x90"), false) {
		t.Error(`"\xf4\x90" is not refused at once`)
	}
}

func TestFrameHeader(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		f := newFrame()
		f.seal(append(f.room(), make([]byte, n)...), ws.OpText)
		got, err := ws.ReadFrame(bytes.NewReader(f.bytes))
		if err != nil || len(got.Payload) != n || !got.Header.Fin || got.Header.OpCode != ws.OpText || got.Header.Masked {
			t.Errorf("length %d: %+v, %v", n, got.Header, err)
		}
		f.release()
	}
	f := closeFrame(1001, "why")
	if code := binary.BigEndian.Uint16(f.bytes[2:]); code != 1001 || string(f.bytes[4:]) != "why" {
		t.Errorf("close frame % x", f.bytes)
	}
}
