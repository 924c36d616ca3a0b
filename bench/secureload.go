package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// secureLoad is a load over TLS: a goroutine for each subscriber, which compares everything that it
// reads with what it must read. Its own cost does not matter, as only the server's processor time
// is measured.
type secureLoad struct {
	speaker, listener dialect
	publisher         *secureClient
	subscribers       []*secureClient

	next uint64 // sequence number of the next message

	// Atomic.
	frames  [maxInFlight]atomic.Pointer[[]byte] // in flight, by sequence number
	missing atomic.Int64                        // deliveries in flight

	done   chan struct{} // nothing is missing any more
	failed chan error    // by a subscriber; one is enough
}

// secureClient is one WebSocket over TLS.
type secureClient struct {
	net.Conn
	in *bufio.Reader
}

// newSecureLoad connects n subscribers and a publisher.
func newSecureLoad(ctx context.Context, addr netip.AddrPort, c contender, n int) (*secureLoad, error) {
	l := &secureLoad{speaker: c.speaker, listener: c.listeners[0], done: make(chan struct{}, 1), failed: make(chan error, 1)}
	for i := range n {
		s, err := dialSecure(ctx, addr, l.listener.subPath, l.listener.opening(l.listener.subscribe, l.listener.subscribed))
		if err != nil {
			l.close()
			return nil, fmt.Errorf("opening subscriber %d: %w", i, err)
		}
		l.subscribers = append(l.subscribers, s)
	}
	var err error
	if l.publisher, err = dialSecure(ctx, addr, l.speaker.pubPath, l.speaker.opening(l.speaker.announce, "")); err != nil {
		l.close()
		return nil, fmt.Errorf("opening publisher: %w", err)
	}
	// The gorilla hub registers a subscriber a moment after its upgrade.
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		l.close()
		return nil, err
	}
	for _, s := range l.subscribers {
		go l.listen(s)
	}
	return l, nil
}

func (l *secureLoad) close() {
	for _, s := range l.subscribers {
		_ = s.Close()
	}
	if l.publisher != nil {
		_ = l.publisher.Close()
	}
}

// dialSecure opens a WebSocket over TLS and goes through the opening.
func dialSecure(ctx context.Context, addr netip.AddrPort, path string, o opening) (*secureClient, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: &tls.Config{
		// The certificate is made for this run, and nothing secret is sent.
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
	}}
	conn, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	c := &secureClient{conn, bufio.NewReaderSize(conn, 512)}
	if err := errors.Join(conn.SetDeadline(time.Now().Add(dialTimeout)), c.open(addr, path, o), conn.SetDeadline(time.Time{})); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// open makes the opening handshake and goes through the opening.
func (c *secureClient) open(addr netip.AddrPort, path string, o opening) error {
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, addr)
	if err != nil {
		return fmt.Errorf("sending request: %w", err)
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("reading response: %w", err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("refused: %s", response.Status)
	}
	if err := c.expect(o.greeting); err != nil {
		return err
	}
	if _, err := c.Write(o.say); err != nil {
		return fmt.Errorf("sending first message: %w", err)
	}
	return c.expect(o.answer)
}

// expect reads want.
func (c *secureClient) expect(want []byte) error {
	for n := 0; n < len(want); {
		if _, err := c.in.Peek(1); err != nil {
			return fmt.Errorf("reading %.40q: %w", want, err)
		}
		got, _ := c.in.Peek(min(c.in.Buffered(), len(want)-n))
		if !bytes.Equal(got, want[n:n+len(got)]) {
			return fmt.Errorf("got %q, want %q", got, want[n:])
		}
		_, _ = c.in.Discard(len(got))
		n += len(got)
	}
	return nil
}

// listen reads the messages of one subscriber until its connection is closed.
func (l *secureLoad) listen(s *secureClient) {
	for seq := uint64(0); ; seq++ {
		_, err := s.in.Peek(1)
		if err == nil {
			err = s.expect(*l.frames[seq%maxInFlight].Load())
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			select {
			case l.failed <- fmt.Errorf("message %d: %w", seq, err):
			default:
			}
			return
		}
		if l.missing.Add(-1) == 0 {
			l.done <- struct{}{}
		}
	}
}

// run publishes for the given time, inFlight messages at a time, and returns how many
// deliveries there were.
func (l *secureLoad) run(inFlight int, duration time.Duration) (deliveries int, err error) {
	each := inFlight * len(l.subscribers)
	for start := time.Now(); time.Since(start) < duration; deliveries += each {
		l.missing.Store(int64(each))
		var out []byte
		for range inFlight {
			frame := l.listener.serverFrame(write(l.listener.receive, l.next))
			l.frames[l.next%maxInFlight].Store(&frame)
			out = append(out, l.speaker.clientFrame(write(l.speaker.publish, l.next))...)
			l.next++
		}
		if _, err := l.publisher.Write(out); err != nil {
			return 0, fmt.Errorf("publishing: %w", err)
		}
		select {
		case <-l.done:
		case err := <-l.failed:
			return 0, err
		case <-time.After(stall):
			return 0, fmt.Errorf("%d deliveries missing after %v", l.missing.Load(), stall)
		}
	}
	return deliveries, nil
}
