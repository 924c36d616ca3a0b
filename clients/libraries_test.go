package clients

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// libraries are all that the tests drive.
var libraries = []library{
	{name: "gorilla", dial: dialGorilla, pings: true, deflates: true},
	{name: "coder", dial: dialCoder, pings: true, deflates: true},
	{name: "ws", dial: node("ws"), pings: true, deflates: true},
	{name: "undici", dial: node("undici"), deflates: true},
	{name: "websocket", dial: node("websocket"), pings: true},
	{name: "faye", dial: node("faye"), pings: true},
	{name: "tornado", dial: debian("/usr/bin/python3", "client.py"), pings: true, deflates: true},
	{name: "mojo", dial: debian("/usr/bin/perl", "client.pl"), pings: true, deflates: true},
	{name: "java", dial: dialJava, pings: true},
}

// gorillaClient is a connection of github.com/gorilla/websocket.
type gorillaClient struct{ *gorilla.Conn }

func dialGorilla(t *testing.T, url string, tell func(event)) doer {
	dialer := gorilla.Dialer{HandshakeTimeout: patience, EnableCompression: true}
	conn, response, err := dialer.Dial(url, nil)
	if err != nil {
		tell(event{kind: "error", reason: err.Error()})
		return nil
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetPongHandler(func(string) error {
		tell(event{kind: "pong"})
		return nil
	})
	tell(event{kind: "open", extensions: response.Header.Get("Sec-WebSocket-Extensions")})
	go func() {
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				// The library leaves closing the TCP connection to its user.
				conn.Close()
				tell(gorillaEnd(err))
				return
			}
			tell(event{kind: "message", message: message{string(data), kind == gorilla.BinaryMessage}})
		}
	}()
	return gorillaClient{conn}
}

func gorillaEnd(err error) event {
	if closed, ok := errors.AsType[*gorilla.CloseError](err); ok {
		return event{kind: "close", code: closed.Code, reason: closed.Text}
	}
	return event{kind: "error", reason: err.Error()}
}

func (c gorillaClient) send(m message) error {
	kind := gorilla.TextMessage
	if m.binary {
		kind = gorilla.BinaryMessage
	}
	return c.WriteMessage(kind, []byte(m.data))
}

func (c gorillaClient) ping() error {
	return c.WriteControl(gorilla.PingMessage, nil, time.Now().Add(patience))
}

func (c gorillaClient) close() error {
	return c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, ""), time.Now().Add(patience))
}

// coderClient is a connection of github.com/coder/websocket, on which the original client of vws is
// built.
type coderClient struct {
	*coder.Conn
	ctx  context.Context
	tell func(event)
	// closing: close reports the end, not the reader, whose error depends on chance.
	closing *atomic.Bool
}

func dialCoder(t *testing.T, url string, tell func(event)) doer {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, response, err := coder.Dial(ctx, url, &coder.DialOptions{CompressionMode: coder.CompressionContextTakeover})
	if err != nil {
		tell(event{kind: "error", reason: err.Error()})
		return nil
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(-1)
	tell(event{kind: "open", extensions: response.Header.Get("Sec-WebSocket-Extensions")})
	c := coderClient{conn, ctx, tell, new(atomic.Bool)}
	go func() {
		for {
			kind, data, err := conn.Read(ctx)
			if err != nil {
				if !c.closing.Load() {
					tell(coderEnd(err))
				}
				return
			}
			tell(event{kind: "message", message: message{string(data), kind == coder.MessageBinary}})
		}
	}()
	return c
}

func coderEnd(err error) event {
	if closed, ok := errors.AsType[coder.CloseError](err); ok {
		return event{kind: "close", code: int(closed.Code), reason: closed.Reason}
	}
	return event{kind: "error", reason: err.Error()}
}

func (c coderClient) send(m message) error {
	kind := coder.MessageText
	if m.binary {
		kind = coder.MessageBinary
	}
	return c.Write(c.ctx, kind, []byte(m.data))
}

// ping returns when the pong has arrived.
func (c coderClient) ping() error {
	if err := c.Ping(c.ctx); err != nil {
		return err
	}
	c.tell(event{kind: "pong"})
	return nil
}

// close returns when the server has answered, and without error only if it answered with the same
// code.
func (c coderClient) close() error {
	c.closing.Store(true)
	if err := c.Close(coder.StatusNormalClosure, ""); err != nil {
		return err
	}
	c.tell(event{kind: "close", code: int(coder.StatusNormalClosure)})
	return nil
}
