package network

import "bytes"

// pieceSize is how large a piece of kept input grows before another one is begun.
const pieceSize = 32 << 10

// pieces is a byte buffer with its own memory, in the order of arrival. Growing it does not
// copy what it holds, except within the last piece, which is small. The zero value is empty.
type pieces struct {
	list [][]byte // none of them empty
	size int      // bytes in all of them
}

// add appends a copy of b.
func (p *pieces) add(b []byte) {
	p.size += len(b)
	if n := len(p.list); n > 0 {
		last := &p.list[n-1]
		if room := min(pieceSize-len(*last), len(b)); room > 0 {
			*last = append(*last, b[:room]...)
			b = b[room:]
		}
	}
	if len(b) > 0 {
		p.list = append(p.list, bytes.Clone(b))
	}
}

// skip takes n bytes off the first piece.
func (p *pieces) skip(n int) {
	p.size -= n
	if p.list[0] = p.list[0][n:]; len(p.list[0]) == 0 {
		p.list[0] = nil
		p.list = p.list[1:]
	}
}

// join returns everything followed by b in one slice, which may be one of the
// pieces, and leaves p empty.
func (p *pieces) join(b []byte) []byte {
	var all []byte
	if len(p.list) == 1 {
		all = append(p.list[0], b...)
	} else {
		all = make([]byte, 0, p.size+len(b))
		for i, piece := range p.list {
			all = append(all, piece...)
			p.list[i] = nil
		}
		all = append(all, b...)
	}
	*p = pieces{}
	return all
}

// memory returns the memory in use, in bytes.
func (p *pieces) memory() int {
	n := len(p.list)
	if n == 0 {
		return 0
	}
	last := p.list[n-1]
	return p.size + cap(last) - len(last) + pieceBytes*cap(p.list)
}

// pieceBytes is the memory of a piece without its bytes.
const pieceBytes = 24
