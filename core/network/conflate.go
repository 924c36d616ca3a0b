package network

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/polywire/polywire/core"
)

// setKey makes f replaceable by newer messages of the address of ev. The key lies
// behind the frame in its buffer.
func (f *frame) setKey(seed maphash.Seed, ev core.Event) {
	b := binary.BigEndian.AppendUint32(f.buf, ev.As)
	f.keep(append(b, ev.Topic...))
	f.hash = maphash.Bytes(seed, f.key)
}

// inherit makes f, the compressed form of from, the same message.
func (f *frame) inherit(from *frame) {
	f.message, f.hash = from.message, from.hash
	if from.key != nil {
		f.keep(append(f.buf, from.key...))
	}
	if from.budget != nil {
		f.charge(from.budget)
	}
}

// keep takes the buffer of a sealed frame with a key behind it.
func (f *frame) keep(b []byte) {
	end := len(f.buf)
	start := end - len(f.bytes)
	f.buf, f.bytes, f.key = b, b[start:end:end], b[end:]
}

// index remembers where in the queue the newest message of each address is. It has
// the messages that were queued since the socket is full. Places are counted from
// the first frame that left the queue since the index was made.
type index struct {
	places map[uint64]int // by the hash of the key
	gone   int            // how many frames have left the front of the queue
}

// find returns the place in queue of a message with the key of f.
func (x *index) find(queue []*frame, f *frame) (at int, ok bool) {
	place, ok := x.places[f.hash]
	if !ok {
		return 0, false
	}
	at = place - x.gone
	return at, bytes.Equal(queue[at].key, f.key)
}

// set remembers that f is at at, as the newest of its address.
func (x *index) set(f *frame, at int) {
	if f.key == nil {
		return
	}
	if x.places == nil {
		x.places = make(map[uint64]int)
	}
	x.places[f.hash] = at + x.gone
}

// add remembers the messages of queue from from on.
func (x *index) add(queue []*frame, from int) {
	for i, f := range queue[from:] {
		x.set(f, from+i)
	}
}

// left forgets f, which was at at.
func (x *index) left(f *frame, at int) {
	if f.key != nil && x.places[f.hash] == at+x.gone {
		delete(x.places, f.hash)
	}
}

// left tells that frames have left the front of the queue. l may be nil.
func (l *lateness) left(frames []*frame) {
	if l == nil {
		return
	}
	for i, f := range frames {
		l.index.left(f, i)
	}
	l.index.gone += len(frames)
}

// forget tells that nothing waits any more. l may be nil.
func (l *lateness) forget() {
	if l != nil {
		l.index = index{}
	}
}

// conflate puts f in the place of an older message of its address that waits for a
// full socket, if there is one and f fits there. Topics keep their places among
// each other; a topic waits once, however often it changes.
func (c *conn) conflate(f *frame) bool {
	if c.late == nil || len(c.late.index.places) == 0 {
		return false
	}
	at, ok := c.late.index.find(c.out, f)
	if !ok || at == 0 && c.outOff > 0 {
		return false
	}
	old := c.out[at]
	size := c.outBytes - len(old.bytes) + len(f.bytes)
	if size > c.settings.OutboundLimit {
		return false
	}
	c.count(old, core.ReasonConflated)
	c.out[at], c.outBytes = f, size
	if at < c.retained {
		f.retain()
		old.release()
	}
	return true
}
