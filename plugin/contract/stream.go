package contract

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec for all other messages
	"google.golang.org/grpc/mem"
)

// Packet is one Questions or Answers message in its bytes. It is sent and received on
// the stream of Translate instead of the generated types, with [GRPCCodec].
type Packet struct{ Bytes []byte }

// GRPCCodec returns gRPC's own codec, except that a *Packet is taken as it is. What is
// sent must not be changed until it is certain that it has been written, as by an
// answer to it; what is received is the receiver's.
func GRPCCodec() encoding.CodecV2 { return packetCodec{encoding.GetCodecV2("proto")} }

type packetCodec struct{ encoding.CodecV2 }

func (c packetCodec) Marshal(v any) (mem.BufferSlice, error) {
	if p, ok := v.(*Packet); ok {
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
		p.Bytes = data.Materialize()
		return nil
	}
	if err := c.CodecV2.Unmarshal(data, v); err != nil {
		return fmt.Errorf("unmarshalling: %w", err)
	}
	return nil
}
