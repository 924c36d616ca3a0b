package shadow

import "time"

// maxOrder bounds what is waited for.
const maxOrder = 10_000

// order lets the shadow hear things in the order in which clients may have caused each other: what a client
// says waits for what the old server had said before it, to whatever client, until the shadow has said the same.
// Otherwise the shadow might hear a publish before the subscription that its publisher knew of. Owned by the
// comparer.
type order struct {
	lag time.Duration
	seq uint64 // of the last one that was waited for
	// open are things that the old server has said, from the first on that the shadow has not.
	open []*said
}

// said is something that the old server has said.
type said struct {
	seq  uint64
	at   time.Time
	done bool // the shadow has said it too, or never will
}

// opens notes that the old server has said something.
func (o *order) opens() *said {
	o.seq++
	s := &said{seq: o.seq, at: time.Now()}
	o.open = append(o.open, s)
	if len(o.open) > maxOrder {
		o.open = o.open[1:]
	}
	return s
}

// passed reports whether what was said at the time of seq has to wait no longer.
func (o *order) passed(seq uint64) bool {
	for len(o.open) > 0 && (o.open[0].done || time.Since(o.open[0].at) > o.lag) {
		o.open = o.open[1:]
	}
	return len(o.open) == 0 || o.open[0].seq > seq
}

// ends notes that s is waited for no longer. It may be nil.
func (s *said) ends() {
	if s != nil {
		s.done = true
	}
}
