package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// patience is how long a client waits for what should come at once, on a machine that has
// nothing else to do.
const patience = 10 * time.Second

// client is a WebSocket client. It is used by one goroutine.
type client struct {
	conn  net.Conn
	in    io.Reader
	pings int
	// patience is how long it waits.
	patience time.Duration
	// messages counts those that were read.
	messages int
}

// closed is the error of a connection that the server has closed.
type closed struct{ code uint16 }

func (c closed) Error() string { return fmt.Sprintf("the connection was closed with %d", c.code) }

// dial connects a client with this patience. If small is set, the socket takes little while
// nobody reads from it.
func dial(ctx context.Context, u *url.URL, small bool, patience time.Duration) (*client, error) {
	dialer := ws.Dialer{NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && small {
			err = tcp.SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, early, _, err := dialer.Dial(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c := &client{conn: conn, in: conn, patience: patience}
	if early != nil {
		c.in = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	return c, nil
}

func (c *client) close() { _ = c.conn.Close() }

// send sends a message.
func (c *client) send(f core.Frame) error {
	op := ws.OpText
	if f.Kind == core.BinaryFrame {
		op = ws.OpBinary
	}
	return c.write(op, f.Data)
}

func (c *client) write(op ws.OpCode, data []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	return ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewFrame(op, true, data)))
}

// read reads one frame; messages come whole from a broker. It answers pings, and
// returns closed if the server has closed the connection.
func (c *client) read(deadline time.Time) (op ws.OpCode, data []byte, err error) {
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return 0, nil, err
	}
	h, err := ws.ReadHeader(c.in)
	if err != nil {
		return 0, nil, err
	}
	data = make([]byte, h.Length)
	if _, err := io.ReadFull(c.in, data); err != nil {
		return 0, nil, err
	}
	switch h.OpCode {
	case ws.OpText, ws.OpBinary:
		c.messages++
	case ws.OpPing:
		err = c.write(ws.OpPong, data)
	case ws.OpClose:
		var code uint16
		if len(data) >= 2 {
			code = binary.BigEndian.Uint16(data)
		}
		err = closed{code}
	}
	return h.OpCode, data, err
}

// ping sends a ping.
func (c *client) ping() error {
	c.pings++
	return c.write(ws.OpPing, fmt.Appendf(nil, "%d", c.pings))
}

// pong reads until the last ping is answered: then all that was sent before it has been
// carried out.
func (c *client) pong() error {
	deadline := time.Now().Add(c.patience)
	for {
		op, data, err := c.read(deadline)
		if err != nil {
			return err
		}
		if op == ws.OpPong && string(data) == fmt.Sprint(c.pings) {
			return nil
		}
	}
}

// sync is ping and pong.
func (c *client) sync() error {
	if err := c.ping(); err != nil {
		return err
	}
	return c.pong()
}

// until reads until there were n messages.
func (c *client) until(n int) error { return c.within(n, c.patience) }

// within is until with a patience of its own.
func (c *client) within(n int, patience time.Duration) error {
	for deadline := time.Now().Add(patience); c.messages < n; {
		if _, _, err := c.read(deadline); err != nil {
			return err
		}
	}
	return nil
}
