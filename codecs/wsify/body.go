package wsify

import (
	"errors"
	"io"
)

// bodies is how many bodies of the greatest size there may be at once: clients that send
// slowly must not have the memory for as many as there are connections.
const bodies = 4

// errBusy: too many bodies are being read.
var errBusy = errors.New("too many bodies at once")

// body is a request's body as its handler counts it.
type body struct {
	io.Reader
	handler *handler
	size    int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.size += int64(n)
	if b.handler.reading.Add(int64(n)) > bodies*b.handler.maxBody {
		return n, errBusy
	}
	return n, err
}

// done says that the body's memory is free again.
func (b *body) done() { b.handler.reading.Add(-b.size) }
