package soak

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// client is one connection.
type client struct {
	dialect
	conn   net.Conn
	reader *wsutil.Reader
	end    error // why drain ended
}

// dial opens a connection of a format.
func dial(ctx context.Context, by ws.Dialer, url string, d dialect) (*client, error) {
	conn, early, _, err := by.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	var from io.Reader = bufio.NewReader(conn)
	if early != nil {
		from = early
	}
	c := &client{dialect: d, conn: conn}
	c.reader = &wsutil.Reader{Source: from, State: ws.StateClientSide, OnIntermediate: wsutil.ControlFrameHandler(conn, ws.StateClientSide)}
	return c, nil
}

// say sends messages in one write.
func (c *client) say(messages ...string) error {
	op := ws.OpText
	if c.binary() {
		op = ws.OpBinary
	}
	var all []byte
	for _, m := range messages {
		all = append(all, ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, []byte(m))))...)
	}
	_, err := c.conn.Write(all)
	return err
}

// hear returns the next message, answering pings.
func (c *client) hear() ([]byte, error) {
	for {
		h, err := c.reader.NextFrame()
		if err != nil {
			return nil, err
		}
		if h.OpCode.IsControl() {
			if err := c.reader.OnIntermediate(h, c.reader); err != nil {
				return nil, err
			}
			continue
		}
		message, err := io.ReadAll(c.reader)
		if err == nil && len(message) == 0 {
			err = fmt.Errorf("an empty message")
		}
		return message, err
	}
}

// settle returns when everything sent before has been carried out.
func (c *client) settle() error {
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewPingFrame(nil))); err != nil {
		return err
	}
	for {
		h, err := c.reader.NextFrame()
		if err != nil {
			return err
		}
		if err := c.reader.Discard(); err != nil {
			return err
		}
		if h.OpCode == ws.OpPong {
			return nil
		}
	}
}

// drain reads, and answers pings, until the connection ends, and then closes the channel.
func (c *client) drain() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := c.hear(); err != nil {
				c.end = err
				return
			}
		}
	}()
	return ended
}

// leave ends the connection in one of the ways in which clients do.
func (c *client) leave() {
	switch rand.IntN(3) {
	case 0:
		_, _ = c.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))))
	case 1:
		if tcp, ok := c.conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset
		}
	}
	_ = c.conn.Close()
}
