package core

import "bytes"

// Pending numbers what a client has said, for formats whose servers answer under a number of the
// client's, and knows what each answer is to. The zero value has nothing pending. It is used on one
// goroutine at a time.
type Pending struct {
	last uint64 // the newest number
	said map[uint64]Said
}

// Said is what an answer is to: the Verb, Ref and Topic of a command.
type Said struct {
	Verb       Verb
	Ref, Topic []byte // own their bytes
}

// Next returns the number that Add gives next. Numbers begin with 1.
func (p *Pending) Next() uint64 { return p.last + 1 }

// Skip uses up a number under which no answer is wanted.
func (p *Pending) Skip() { p.last++ }

// Add notes a command whose answer comes under the number Next.
func (p *Pending) Add(c Command) {
	if p.said == nil {
		p.said = make(map[uint64]Said)
	}
	p.last++
	a := make(arena, 0, len(c.Ref)+len(c.Topic))
	p.said[p.last] = Said{c.Verb, a.clone(c.Ref), a.clone(c.Topic)}
}

// Get returns what the answer under a number is to; ok is false if nobody waits for it.
func (p *Pending) Get(number uint64) (s Said, ok bool) {
	s, ok = p.said[number]
	return s, ok
}

// End forgets a number.
func (p *Pending) End(number uint64) { delete(p.said, number) }

// Forget forgets what has this ref.
func (p *Pending) Forget(ref []byte) {
	for number, s := range p.said {
		if bytes.Equal(s.Ref, ref) {
			delete(p.said, number)
		}
	}
}
