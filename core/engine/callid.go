package engine

import (
	"crypto/rand"

	"github.com/polywire/polywire/core"
)

// callIDs makes random (version 4) UUIDs (RFC 9562, section 5.4). It reads the
// system's randomness for many at once. Guarded by callTable.mu.
type callIDs struct {
	random [256 * len(core.CallID{})]byte
	left   int // how much of random, at its end, is unused
}

// next returns a new id, which is not zero.
func (g *callIDs) next() core.CallID {
	var id core.CallID
	if g.left == 0 {
		// crypto/rand.Read never returns an error.
		_, _ = rand.Read(g.random[:])
		g.left = len(g.random)
	}
	copy(id[:], g.random[len(g.random)-g.left:])
	g.left -= len(id)
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}
