package relay

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// Frames are read alike in whatever pieces they come.
func TestPieces(t *testing.T) {
	var all []byte
	for _, f := range []ws.Frame{
		ws.NewTextFrame([]byte("one")), ws.NewFrame(ws.OpText, false, []byte("t")), ws.NewPingFrame([]byte("p")), ws.NewFrame(ws.OpContinuation, true, []byte("wo")),
		ws.NewBinaryFrame(bytes.Repeat([]byte{1}, 70)), ws.NewTextFrame(nil), ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye")),
	} {
		all = append(all, ws.MustCompileFrame(ws.MaskFrame(f))...)
	}
	want := "1:one 9:p 1:two 2-:70 1: 8:\x03\xe8bye "
	for size := 1; size <= len(all); size++ {
		f := &frames{max: 60}
		var got strings.Builder
		for rest := bytes.Clone(all); len(rest) > 0; {
			n := min(size, len(rest))
			if err := f.feed(rest[:n:n], func(m Message) error {
				if m.Size > 0 {
					fmt.Fprintf(&got, "%d-:%d ", m.Op, m.Size)
				} else {
					fmt.Fprintf(&got, "%d:%s ", m.Op, m.Data)
				}
				return nil
			}); err != nil {
				t.Fatal(size, err)
			}
			rest = rest[n:]
		}
		if got.String() != want {
			t.Fatalf("in pieces of %d: %q", size, got.String())
		}
	}
}
