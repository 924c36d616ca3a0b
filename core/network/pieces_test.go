package network

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPieces compares pieces with one slice of all the data, and expects them to take little
// more memory than the data.
func TestPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		var p pieces
		var want []byte
		for range rnd.IntN(60) {
			b := make([]byte, rnd.IntN(1<<rnd.IntN(18)))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			switch rnd.IntN(10) {
			case 0:
				if got := p.join(b); !bytes.Equal(got, append(want, b...)) {
					t.Fatal("joined, it is something else")
				}
				want = nil
			case 1, 2:
				for len(p.list) > 0 && rnd.IntN(4) > 0 {
					n := rnd.IntN(len(p.list[0]) + 1)
					if !bytes.HasPrefix(want, p.list[0][:n]) {
						t.Fatal("its beginning is something else")
					}
					p.skip(n)
					want = want[n:]
				}
			default:
				p.add(b)
				want = append(want, b...)
				clear(b)
			}
			if p.size != len(want) {
				t.Fatalf("size %d, want %d", p.size, len(want))
			}
			if most := len(want)*5/4 + 2*pieceSize; p.memory() > most {
				t.Fatalf("%d bytes take %d", len(want), p.memory())
			}
		}
	}
}

// TestPiecesGrowWithWhatCame: a big message takes the memory of what has come of it,
// even if it comes in the smallest pieces.
func TestPiecesGrowWithWhatCame(t *testing.T) {
	for _, chunk := range []int{1, 100, 16 << 10, 64 << 10} {
		var p pieces
		b := make([]byte, chunk)
		for p.size < 1<<20 {
			p.add(b)
			if over := p.memory() - p.size; over > pieceSize+p.size/8 {
				t.Fatalf("in chunks of %d: %d bytes take %d more", chunk, p.size, over)
			}
		}
	}
}
