package network

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/polywire/polywire/core"
)

// setKey makes f replaceable by newer messages of the address of ev. The key lies
// behind the frame in its buffer.
func (f *frame) setKey(seed maphash.Seed, ev core.Event) {
	b := binary.BigEndian.AppendUint32(f.buf, ev.As)
	f.setBuffer(append(b, ev.Topic...))
	f.hash = maphash.Bytes(seed, f.key)
}

// inherit makes f, the compressed form of from, the same message.
func (f *frame) inherit(from *frame) {
	f.purpose, f.hash = from.purpose, from.hash
	if from.key != nil {
		f.setBuffer(append(f.buf, from.key...))
	}
	if from.budget != nil {
		f.charge(from.budget)
	}
}

// setBuffer takes the buffer of a sealed frame with a key behind it.
func (f *frame) setBuffer(b []byte) {
	end := len(f.buf)
	start := end - len(f.bytes)
	f.buf, f.bytes, f.key = b, b[start:end:end], b[end:]
}
