package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// echoLoad is many clients that read back what they have sent, driven by one goroutine with one
// epoll. It compares every byte. Owned by one goroutine.
type echoLoad struct {
	clients []echoClient
	poller  poller
	buffer  []byte
	latency *histogram
	// frame is what a client sends, and echo what it reads for it.
	frame, echo []byte
	pending     int // frames in flight
	count       uint64
}

type echoClient struct {
	fd     int
	offset int // into the echo that is being read
	ahead  int // frames in flight
	sent   time.Time
}

// newEchoLoad connects n clients.
func newEchoLoad(addr netip.AddrPort, path string, n int, spin bool) (*echoLoad, error) {
	poller, err := newPoller(spin)
	if err != nil {
		return nil, err
	}
	d := dialect{}
	message := write(text(delivered), 1)
	l := &echoLoad{
		poller: poller, buffer: make([]byte, 64<<10), latency: new(histogram),
		frame: d.clientFrame(message), echo: d.serverFrame(message),
	}
	for i := range n {
		fd, err := dial(addr, path, opening{})
		if err == nil {
			l.clients = append(l.clients, echoClient{fd: fd})
			err = l.poller.add(fd, i)
		}
		if err != nil {
			l.close()
			return nil, fmt.Errorf("opening client %d: %w", i, err)
		}
	}
	return l, nil
}

func (l *echoLoad) close() {
	for _, c := range l.clients {
		_ = unix.Close(c.fd)
	}
	l.poller.close()
}

// run makes each client keep ahead frames in flight for the given time, and counts the echoes. The
// latency is that of the last frame sent, so with ahead 1 it is each frame's own.
func (l *echoLoad) run(ahead int, duration time.Duration) (tally, error) {
	*l.latency, l.poller.idle, l.count = histogram{}, 0, 0
	start := time.Now()
	for i := range l.clients {
		if err := l.send(&l.clients[i], ahead); err != nil {
			return tally{}, err
		}
	}
	for last := start; l.pending > 0; {
		now := time.Now()
		ready, err := l.poller.wait(1000)
		if err != nil {
			return tally{}, err
		}
		for _, event := range ready {
			c := &l.clients[event.Fd]
			if err := l.read(c); err != nil {
				return tally{}, fmt.Errorf("reading client %d: %w", event.Fd, err)
			}
			if free := ahead - c.ahead; free > 0 && now.Sub(start) < duration {
				if err := l.send(c, free); err != nil {
					return tally{}, err
				}
			}
		}
		if len(ready) > 0 {
			last = now
		} else if now.Sub(last) > stall {
			return tally{}, fmt.Errorf("%d echoes missing after %v", l.pending, stall)
		}
	}
	return tally{l.count, time.Since(start), l.poller.idle, l.latency}, nil
}

// send sends n frames with one write.
func (l *echoLoad) send(c *echoClient, n int) error {
	c.ahead += n
	l.pending += n
	c.sent = time.Now()
	if err := writeAll(c.fd, bytes.Repeat(l.frame, n)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// read reads what a client's socket holds.
func (l *echoLoad) read(c *echoClient) error {
	n, err := unix.Read(c.fd, l.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server closed the connection")
	}
	now := time.Now()
	for data := l.buffer[:n]; len(data) > 0; {
		want := l.echo[c.offset:]
		m := min(len(want), len(data))
		if c.ahead == 0 || !bytes.Equal(data[:m], want[:m]) {
			return fmt.Errorf("got %q, want %q", data[:m], want[:m])
		}
		data = data[m:]
		if c.offset += m; c.offset < len(l.echo) {
			continue
		}
		c.offset = 0
		c.ahead--
		l.pending--
		l.count++
		l.latency.add(now.Sub(c.sent))
	}
	return nil
}
