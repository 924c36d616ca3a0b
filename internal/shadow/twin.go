package shadow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/internal/relay"
)

const (
	dialTimeout = 5 * time.Second
	readSize    = 32 << 10
)

// twin is the connection to the shadow that belongs to a client's. Owned by the comparer, but for its
// goroutine.
type twin struct {
	pair   *pair
	of     *relay.Connection // in the queue
	dialog *relay.Dialog
	out    *outbox
	stop   context.CancelFunc // ends the connection at once
	up     bool               // messages may follow
}

// newTwin opens a connection for an upgrade that a client has asked for.
func (c *comparer) newTwin(p *pair, e *relay.Exchange) *twin {
	t := &twin{pair: p, of: &relay.Connection{}, out: newOutbox(c.o.ConnectionBytes, &c.budget)}
	t.of.State = t
	t.dialog = relay.NewDialog(c.o.MaxMessage, &shadowSaid{c, t})
	head := requestHead(e.Request, p.of.Client, "Upgrade: websocket\r\nConnection: Upgrade\r\n")
	_ = t.dialog.Feed(false, bytes.Clone(head)) // so that it knows the answer for one to an upgrade
	ctx, stop := context.WithCancel(c.running)
	t.stop = stop
	c.twins.Go(func() {
		defer stop()
		defer t.out.close()
		dialling, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := c.o.New(dialling)
		cancel()
		if err != nil {
			c.queue.Add(t.of, relay.Unreached, []byte(err.Error()))
			return
		}
		defer func() { _ = conn.Close() }()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a write may wait
		c.twins.Go(func() { c.read(t.of, conn) })
		if _, err := conn.Write(head); err == nil {
			t.out.write(conn, ctx.Done())
		}
		// The reader goes on until the shadow ends its side too, or the twin is stopped.
		<-ctx.Done()
	})
	return t
}

// read queues what the shadow says.
func (c *comparer) read(of *relay.Connection, conn net.Conn) {
	buf := make([]byte, readSize)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			c.queue.Add(of, relay.FromServer, buf[:n])
		}
		if err != nil {
			kind := relay.ServerReset
			if errors.Is(err, io.EOF) {
				kind = relay.ServerEnd
			}
			c.queue.Add(of, kind, nil)
			return
		}
	}
}

// send says a message or control frame to the shadow; false if there is no room for it.
func (t *twin) send(op ws.OpCode, data []byte) bool {
	frame := ws.MaskFrame(ws.NewFrame(op, true, data))
	var b bytes.Buffer
	if ws.WriteFrame(&b, frame) != nil {
		return false
	}
	return t.out.put(b.Bytes())
}

// untold are the headers that a request to the shadow does not repeat: those of the connection, which is
// another one, and of extensions, which are not compared.
var untold = []string{
	"Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Connection", "Sec-Websocket-Extensions", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"X-Forwarded-For",
}

// requestHead returns the head of a client's request as the shadow gets it.
func requestHead(q *http.Request, client net.Addr, extra string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.RequestURI, q.Host)
	for _, name := range slices.Sorted(maps.Keys(q.Header)) {
		if slices.Contains(untold, name) {
			continue
		}
		for _, value := range q.Header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	hops := q.Header.Values("X-Forwarded-For")
	if client != nil {
		if host, _, err := net.SplitHostPort(client.String()); err == nil {
			hops = append(slices.Clone(hops), host)
		}
	}
	if len(hops) > 0 {
		fmt.Fprintf(&b, "X-Forwarded-For: %s\r\n", strings.Join(hops, ", "))
	}
	b.WriteString(extra + "\r\n")
	return b.Bytes()
}
