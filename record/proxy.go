package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// headTimeout is how long a client may take for its request before it is told that there is no server.
	headTimeout = 5 * time.Second
	// lastTimeout is how long a client may go on after the server has ended the connection.
	lastTimeout = 10 * time.Second
	copySize    = 32 << 10
)

// Proxy passes connections on and records them. It serves once.
type Proxy struct {
	// Static after construction.
	o   Options
	tap *tap

	recorded   atomic.Int64 // connections so far
	unrecorded atomic.Int64
	passing    sync.WaitGroup

	// Guarded by mu.
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// New returns a proxy.
func New(o Options) *Proxy {
	o = o.complete()
	return &Proxy{o: o, tap: newTap(o.QueueBytes), open: make(map[net.Conn]struct{})}
}

// Serve passes on what connects to l until ctx ends, then completes the conversation and ends the
// connections. It closes l. When a limit is reached the conversation is completed, and passing on goes on.
// The error is that of writing or listening, or [ErrLost].
func (p *Proxy) Serve(ctx context.Context, l net.Listener) (Summary, error) {
	r := newRecorder(p.o, p.tap, p.unrecorded.Load)
	recorded := make(chan error, 1)
	stop := make(chan struct{})
	go func() { recorded <- r.run(stop) }()
	failed := make(chan error, 1)
	go func() { failed <- p.accept(ctx, l) }()
	var errs []error
	select {
	case <-ctx.Done():
		_ = l.Close()
		errs = append(errs, <-failed)
	case err := <-failed:
		errs = append(errs, err)
	}
	// The recording ends first: that the clients are cut off is not the server's doing.
	close(stop)
	errs = append(errs, <-recorded)
	p.closeAll()
	p.passing.Wait()
	return r.seen, errors.Join(errs...)
}

// accept serves each client on a goroutine.
func (p *Proxy) accept(ctx context.Context, l net.Listener) error {
	pause := time.Millisecond
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting clients: %w", err)
		case err != nil:
			// Such as too many open files: it passes.
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		c := &conversation{}
		if p.recorded.Add(1) > int64(p.o.MaxConnections) {
			c.ignored.Store(true)
			p.unrecorded.Add(1)
		}
		p.passing.Go(func() { p.serve(ctx, c, conn) })
	}
}

// track remembers a connection so that it can be closed; false if it is too late.
func (p *Proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return false
	}
	p.open[conn] = struct{}{}
	return true
}

func (p *Proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
}

func (p *Proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for conn := range p.open {
		_ = conn.Close()
	}
}

// serve passes one connection on until both sides have ended.
func (p *Proxy) serve(ctx context.Context, c *conversation, client net.Conn) {
	if !p.track(client) {
		return
	}
	defer p.drop(client)
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	server, err := p.o.Dial(dialling)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			p.tap.add(c, unreached, []byte(err.Error()))
			p.o.Note(fmt.Sprintf("%s cannot be reached: %v; a client was answered 502", p.o.Server, err))
			p.refuse(client, err)
		}
		return
	}
	if !p.track(server) {
		return
	}
	defer p.drop(server)
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, fromClient, client, server) })
	p.pass(c, fromServer, server, client)
	both.Wait()
}

// pass passes one direction on. It reads no more than the other side takes.
func (p *Proxy) pass(c *conversation, k kind, from, to net.Conn) {
	ended, reset := clientEnd, clientReset
	if k == fromServer {
		ended, reset = serverEnd, serverReset
	}
	buf := make([]byte, copySize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			// Recorded before it is passed on: what it causes is seen later.
			p.tap.add(c, k, buf[:n])
			if _, werr := to.Write(buf[:n]); werr != nil {
				// The other direction reads what the other side has sent before, and how it ended.
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			p.tap.add(c, ended, nil)
			if t, ok := to.(interface{ CloseWrite() error }); ok {
				_ = t.CloseWrite()
			}
			if k == fromServer {
				_ = to.SetReadDeadline(time.Now().Add(lastTimeout))
			}
			return
		case errors.Is(err, net.ErrClosed):
			abort(to)
			return
		default:
			p.tap.add(c, reset, nil)
			abort(to)
			return
		}
	}
}

// abort ends a connection by a reset, as the other side's was.
func abort(conn net.Conn) {
	socket := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		socket = t.NetConn()
	}
	if t, ok := socket.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = socket.Close()
}

// refuse answers the request of a client when there is no server.
func (p *Proxy) refuse(client net.Conn, cause error) {
	_ = client.SetDeadline(time.Now().Add(headTimeout))
	var head []byte
	buf := make([]byte, 4<<10)
	for !bytes.Contains(head, []byte("\r\n\r\n")) && len(head) < maxHead {
		n, err := client.Read(buf)
		head = append(head, buf[:n]...)
		if err != nil {
			return
		}
	}
	body := fmt.Sprintf("broker record: %s cannot be reached: %v\n", p.o.Server, cause)
	fmt.Fprintf(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	if t, ok := client.(interface{ CloseWrite() error }); ok {
		_ = t.CloseWrite()
	}
	// Input that is left unread would reset the connection before the client has read the answer.
	_, _ = io.Copy(io.Discard, io.LimitReader(client, maxHead))
}
