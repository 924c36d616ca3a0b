package contract

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec for all other messages
	"google.golang.org/grpc/mem"
)

// Packet is one Questions or Answers message in its bytes. It is sent and received on
// the stream of Translate instead of the generated types, with [GRPCCodec].
type Packet struct {
	Bytes []byte
	// Spent gives Bytes to the codec's Buffers once they are sent and written.
	Spent bool

	received mem.Buffer // what Bytes are of
}

// Free gives back the bytes of a received message; they will be reused. It need not be
// called, and must not be called twice.
func (p *Packet) Free() {
	if p.received != nil {
		p.received.Free()
	}
	*p = Packet{}
}

// Buffers is a pool of message buffers: under load messages are big, and memory that was
// just in use is faster than any other. Any goroutine.
type Buffers struct{ pool sync.Pool }

var _ mem.BufferPool = (*Buffers)(nil)

// The smallest buffer that is made, since one that is too small for the next message is of
// no use, and the biggest that is kept.
const (
	minBuffer = 64 << 10
	maxBuffer = 1 << 20
)

// Get returns a buffer of n bytes, of any content.
func (b *Buffers) Get(n int) *[]byte {
	if buffer, _ := b.pool.Get().(*[]byte); buffer != nil && cap(*buffer) >= n {
		*buffer = (*buffer)[:n]
		return buffer
	}
	buffer := make([]byte, n, max(n, minBuffer))
	return &buffer
}

// Put takes a buffer back.
func (b *Buffers) Put(buffer *[]byte) {
	if cap(*buffer) <= maxBuffer {
		b.pool.Put(buffer)
	}
}

// GRPCCodec returns gRPC's own codec, except that it passes on a *Packet as it is. Sent
// bytes must not change until they have certainly been written, as an answer to them shows.
// Received bytes belong to the receiver until Free.
func GRPCCodec(b *Buffers) encoding.CodecV2 { return packetCodec{encoding.GetCodecV2("proto"), b} }

type packetCodec struct {
	encoding.CodecV2
	buffers *Buffers
}

func (c packetCodec) Marshal(v any) (mem.BufferSlice, error) {
	if p, ok := v.(*Packet); ok {
		if p.Spent {
			return mem.BufferSlice{mem.NewBuffer(&p.Bytes, c.buffers)}, nil
		}
		return mem.BufferSlice{mem.SliceBuffer(p.Bytes)}, nil
	}
	out, err := c.CodecV2.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshalling: %w", err)
	}
	return out, nil
}

func (c packetCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if p, ok := v.(*Packet); ok {
		p.received = data.MaterializeToBuffer(c.buffers)
		p.Bytes = p.received.ReadOnlyData()
		return nil
	}
	if err := c.CodecV2.Unmarshal(data, v); err != nil {
		return fmt.Errorf("unmarshalling: %w", err)
	}
	return nil
}
