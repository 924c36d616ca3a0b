package network

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/polywire/polywire/core"
)

// setKey makes f replaceable by newer messages of the address of ev. The key is stored
// after the frame in its buffer.
func (f *frame) setKey(seed maphash.Seed, ev core.Event) {
	b := binary.BigEndian.AppendUint32(f.buf, ev.As)
	f.setBuffer(append(b, ev.Topic...))
	f.hash = maphash.Bytes(seed, f.key)
}

// inherit copies the message properties of from to f, its compressed form.
func (f *frame) inherit(from *frame) {
	f.purpose, f.hash = from.purpose, from.hash
	f.read, f.delays = from.read, from.delays
	if from.key != nil {
		f.setBuffer(append(f.buf, from.key...))
	}
	if from.budget != nil {
		f.charge(from.budget)
	}
}

// setBuffer sets the buffer of a sealed frame with a key after it.
func (f *frame) setBuffer(b []byte) {
	end := len(f.buf)
	start := end - len(f.bytes)
	f.buf, f.bytes, f.key = b, b[start:end:end], b[end:]
}
