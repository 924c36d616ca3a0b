package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	// headTimeout is how long a client may take for its request before it is told that there is no server.
	headTimeout = 5 * time.Second
	// lastTimeout is how long a client may go on after the server has ended the connection.
	lastTimeout = 10 * time.Second
	copySize    = 32 << 10
)

// Relay passes connections on. It serves once.
type Relay struct {
	// Static after construction.
	o       Options
	queue   *Queue
	passing sync.WaitGroup

	admitting sync.Mutex // held while Options.Admit is called

	// Guarded by mu.
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// New returns a relay.
func New(o Options) *Relay {
	o = o.complete()
	return &Relay{o: o, queue: NewQueue(o.QueueBytes), open: make(map[net.Conn]struct{})}
}

// Serve passes on what connects to l until ctx ends, then lets the watcher end, and then ends the
// connections. It closes l. watch is called on a goroutine of its own; it returns soon after stop is closed. The
// error is that of the watcher or of listening.
func (r *Relay) Serve(ctx context.Context, l net.Listener, watch func(q *Queue, stop <-chan struct{}) error) error {
	watched := make(chan error, 1)
	stop := make(chan struct{})
	go func() { watched <- watch(r.queue, stop) }()
	failed := make(chan error, 1)
	go func() { failed <- r.accept(ctx, l) }()
	var errs []error
	select {
	case <-ctx.Done():
		_ = l.Close()
		errs = append(errs, <-failed)
	case err := <-failed:
		errs = append(errs, err)
	}
	// The watcher ends first: that the clients are cut off is not the server's doing.
	close(stop)
	errs = append(errs, <-watched)
	r.closeAll()
	r.passing.Wait()
	return errors.Join(errs...)
}

// accept serves each client on a goroutine.
func (r *Relay) accept(ctx context.Context, l net.Listener) error {
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
		r.passing.Go(func() { r.welcome(ctx, conn) })
	}
}

// track remembers a connection so that it can be closed; false if it is too late.
func (r *Relay) track(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = conn.Close()
		return false
	}
	r.open[conn] = struct{}{}
	return true
}

func (r *Relay) drop(conn net.Conn) {
	_ = conn.Close()
	r.mu.Lock()
	delete(r.open, conn)
	r.mu.Unlock()
}

func (r *Relay) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for conn := range r.open {
		_ = conn.Close()
	}
}

// welcome takes a connection of a client, and serves it until it has ended.
func (r *Relay) welcome(ctx context.Context, conn net.Conn) {
	if !r.track(conn) {
		return
	}
	defer r.drop(conn)
	c, client := &Connection{Client: conn.RemoteAddr()}, conn
	if r.o.TLS != nil {
		secure := tls.Server(conn, r.o.TLS)
		shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
		err := secure.HandshakeContext(shaking)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				r.o.Note(fmt.Sprintf("the TLS handshake of a client (%s) failed: %v", c.Client, err))
			}
			return
		}
		client = secure
	}
	r.admitting.Lock()
	if !r.o.Admit() {
		c.Ignore()
	}
	r.admitting.Unlock()
	r.serve(ctx, c, client)
}

// serve passes one connection on until both sides have ended.
func (r *Relay) serve(ctx context.Context, c *Connection, client net.Conn) {
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	server, err := r.o.Dial(dialling)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			r.queue.Add(c, Unreached, []byte(err.Error()))
			r.o.Note(fmt.Sprintf("%s cannot be reached: %v; a client was answered 502", r.o.Server, err))
			r.refuse(client, err)
		}
		return
	}
	if !r.track(server) {
		return
	}
	defer r.drop(server)
	var both sync.WaitGroup
	both.Go(func() { r.pass(c, FromClient, client, server) })
	r.pass(c, FromServer, server, client)
	both.Wait()
	r.queue.Add(c, Over, nil)
}

// pass passes one direction on. It reads no more than the other side takes.
func (r *Relay) pass(c *Connection, k Kind, from, to net.Conn) {
	ended, reset := ClientEnd, ClientReset
	if k == FromServer {
		ended, reset = ServerEnd, ServerReset
	}
	buf := make([]byte, copySize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			// Queued before it is passed on: what it causes is seen later.
			r.queue.Add(c, k, buf[:n])
			if _, werr := to.Write(buf[:n]); werr != nil {
				// The other direction reads what the other side has sent before, and how it ended.
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // over TLS without a goodbye
			r.queue.Add(c, ended, nil)
			if t, ok := to.(interface{ CloseWrite() error }); ok {
				_ = t.CloseWrite()
			}
			if k == FromServer {
				_ = to.SetReadDeadline(time.Now().Add(lastTimeout))
			}
			return
		case errors.Is(err, net.ErrClosed):
			abort(to)
			return
		default:
			r.queue.Add(c, reset, nil)
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
func (r *Relay) refuse(client net.Conn, cause error) {
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
	body := fmt.Sprintf("%s: %s cannot be reached: %v\n", r.o.Program, r.o.Server, cause)
	fmt.Fprintf(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	if t, ok := client.(interface{ CloseWrite() error }); ok {
		_ = t.CloseWrite()
	}
	// Input that is left unread would reset the connection before the client has read the answer.
	_, _ = io.Copy(io.Discard, io.LimitReader(client, maxHead))
}
