package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/core/coretest"
)

// found is what was found in what a server sends, as text.
type found struct{ strings.Builder }

var errStop = errors.New("the handler stops")

func (f *found) onMessage(op ws.OpCode, message []byte) error { return f.add(op, message) }
func (f *found) onControl(op ws.OpCode, body []byte) error    { return f.add(op, body) }

func (f *found) add(op ws.OpCode, b []byte) error {
	fmt.Fprintf(f, "%d %q\n", op, b)
	clear(b) // they are lent
	if op == ws.OpClose {
		return errStop
	}
	return nil
}

// feedPieces feeds what a server sends in pieces of a size.
func feedPieces(stream []byte, size, most int) (string, error) {
	f := frames{max: most}
	var to found
	for len(stream) > 0 {
		piece := bytes.Clone(stream[:min(size, len(stream))])
		stream = stream[len(piece):]
		if err := f.feed(piece, &to); err != nil {
			return to.String(), err
		}
	}
	return to.String(), nil
}

// readAll is feedPieces by wsutil, as far as all of a message is there.
func readAll(stream []byte, most int) (string, error) {
	var to found
	r := &wsutil.Reader{
		Source: bytes.NewReader(stream), State: ws.StateClientSide, MaxFrameSize: int64(most), MaxMessageSize: int64(most),
		OnIntermediate: func(h ws.Header, r io.Reader) error {
			b, err := io.ReadAll(r)
			if err == nil && int64(len(b)) < h.Length {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return err
			}
			return to.add(h.OpCode, b)
		},
	}
	for {
		h, err := r.NextFrame()
		if err != nil {
			return to.String(), err
		}
		b, err := io.ReadAll(r)
		if err == nil && h.OpCode == ws.OpText && !utf8.Valid(b) {
			err = wsutil.ErrInvalidUTF8
		}
		if err == nil {
			err = to.add(h.OpCode, b)
		}
		if err != nil {
			return to.String(), err
		}
	}
}

// frame is a frame of a server.
func frame(op ws.OpCode, fin bool, payload string) []byte {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.NewFrame(op, fin, []byte(payload)))
	return b.Bytes()
}

// What a server sends is found whole, however it is cut: frames, messages in several with control frames
// between them, and faults.
func TestFrames(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	for name, tt := range map[string]struct {
		stream []byte
		want   string
		err    error
	}{
		"messages": {
			bytes.Join([][]byte{frame(ws.OpText, true, "a"), frame(ws.OpBinary, true, ""), frame(ws.OpText, true, long[:300]), frame(ws.OpText, true, long)}, nil),
			fmt.Sprintf("1 \"a\"\n2 \"\"\n1 %q\n1 %q\n", long[:300], long), nil,
		},
		"fragments": {
			bytes.Join([][]byte{
				frame(ws.OpText, false, "\xc3"), frame(ws.OpPing, true, "p"), frame(ws.OpContinuation, false, ""), frame(ws.OpPong, true, ""),
				frame(ws.OpContinuation, true, "\xa9"), frame(ws.OpText, true, "next"),
			}, nil),
			"9 \"p\"\n10 \"\"\n1 \"é\"\n1 \"next\"\n", nil,
		},
		"nothing behind the end":    {append(frame(ws.OpClose, true, "\x03\xe8"), frame(ws.OpText, true, "late")...), "8 \"\\x03\\xe8\"\n", errStop},
		"text that is no UTF-8":     {frame(ws.OpText, true, "\xc3"), "", wsutil.ErrInvalidUTF8},
		"a frame that is too long":  {frame(ws.OpText, true, strings.Repeat("x", 100_001)), "", errTooLarge},
		"a message that is":         {append(frame(ws.OpText, false, "xx"), frame(ws.OpContinuation, true, strings.Repeat("x", 99_999))...), "", errTooLarge},
		"a masked frame":            {ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("x")))), "", ws.ErrProtocolMaskUnexpected},
		"a continuation of nothing": {frame(ws.OpContinuation, true, "x"), "", ws.ErrProtocolContinuationUnexpected},
		"a message in a message":    {append(frame(ws.OpText, false, "x"), frame(ws.OpText, true, "x")...), "", ws.ErrProtocolContinuationExpected},
		"a ping in pieces":          {frame(ws.OpPing, false, "x"), "", ws.ErrProtocolControlNotFinal},
		"a long ping":               {frame(ws.OpPing, true, strings.Repeat("x", 126)), "", ws.ErrProtocolControlPayloadOverflow},
		"a reserved bit":            {[]byte{0xc1, 0}, "", ws.ErrProtocolNonZeroRsv},
		"a reserved kind":           {[]byte{0x83, 0}, "", ws.ErrProtocolOpCodeReserved},
		"an endless length":         {[]byte{0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255}, "", ws.ErrHeaderLengthMSB},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 1000, len(tt.stream)} {
				if got, err := feedPieces(tt.stream, size, 100_000); got != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("in pieces of %d: %.200q, %v; want %.200q, %v", size, got, err, tt.want, tt.err)
				}
			}
		})
	}
}

// What a header announces costs nothing until it comes.
func TestFramesAreFrugal(t *testing.T) {
	coretest.Frugal(t, 100, func() {
		_, _ = feedPieces([]byte{0x82, 127, 0, 0, 0, 0, 0x3f, 255, 255, 255, 'x'}, 3, 1<<30)
	})
}

// Frames are found as another reader finds them.
func FuzzFrames(f *testing.F) {
	f.Add(frame(ws.OpText, true, "hello"), byte(1))
	f.Add(append(frame(ws.OpText, false, "h\xc3"), frame(ws.OpContinuation, true, "\xa9")...), byte(3))
	f.Add(append(append(frame(ws.OpBinary, false, "x"), frame(ws.OpPing, true, "")...), frame(ws.OpClose, true, "\x03\xe8")...), byte(2))
	f.Add([]byte{0x81, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, byte(5))
	f.Add(frame(ws.OpText, true, strings.Repeat("x", 200)), byte(7))
	f.Fuzz(func(t *testing.T, stream []byte, size byte) {
		const most = 1000
		whole, errWhole := feedPieces(stream, max(1, len(stream)), most)
		cut, errCut := feedPieces(stream, 1+int(size)%16, most)
		if whole != cut || !errors.Is(errCut, errWhole) {
			t.Fatalf("whole %q %v, in pieces %q %v", whole, errWhole, cut, errCut)
		}
		want, err := readAll(stream, most)
		cutOff := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if whole != want || (errWhole == nil) != cutOff {
			t.Fatalf("%q %v, by the other reader %q %v", whole, errWhole, want, err)
		}
	})
}
