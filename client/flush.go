package client

import (
	"context"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// flushMark begins the body of a ping that Flush sends; those of confirmation have 8 bytes, others none.
const flushMark = 'f'

// Flush returns when the server has read all that was said before, whether its format acknowledges that or not: it
// has answered a ping that was sent behind it. A server that works on a message while it reads on may not be
// done. The error is [ErrLost], [ErrAway], [ErrClosed], or that of ctx; a server that answers no pings keeps Flush
// waiting for it.
func (c *Client) Flush(ctx context.Context) error {
	_, err := c.await(ctx, func(done func(core.Event, error)) (forget func(), err error) {
		return c.begin(&order{flush: true, done: done})
	})
	return err
}

// appendFlush appends the ping of an order.
func appendFlush(dst []byte, o *order) []byte {
	return appendRaw(dst, ws.OpPing, append([]byte{flushMark}, o.cmd.Ref...))
}

// flushed tells who waits for the pong with this body.
func (k *connection) flushed(body []byte) {
	if len(body) != 1+refSize || body[0] != flushMark {
		return
	}
	k.mu.Lock()
	o := k.takePending(body[1:])
	k.mu.Unlock()
	if o != nil {
		k.client.tell(o, core.Event{}, nil)
	}
}
