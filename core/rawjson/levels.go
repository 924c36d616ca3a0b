package rawjson

// levels stores for each open container whether it is an object, one bit per
// level. The innermost 64 or fewer levels are in word; deeper texts, which no
// real client sends, move full words to the heap.
type levels struct {
	depth int
	word  uint64
	full  []uint64
}

// push opens a container.
func (l *levels) push(object bool) {
	if l.depth > 0 && l.depth%64 == 0 {
		l.full = append(l.full, l.word)
	}
	l.word <<= 1
	if object {
		l.word |= 1
	}
	l.depth++
}

// object reports whether the innermost container is an object.
func (l *levels) object() bool { return l.word&1 != 0 }

// pop closes the innermost container.
func (l *levels) pop() {
	l.depth--
	l.word >>= 1
	if last := len(l.full) - 1; last >= 0 && l.depth%64 == 0 {
		l.word, l.full = l.full[last], l.full[:last]
	}
}
