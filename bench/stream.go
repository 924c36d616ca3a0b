package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// streamDialect is how one publisher and one subscriber speak to a server. Each message that is
// received has the same length.
type streamDialect struct {
	// bare says that there is no WebSocket: messages follow each other in the stream.
	bare bool
	// joined: many messages may be sent as one WebSocket message.
	joined                 bool
	subscriber, publishing greeted
	publish, receive       string
}

// vwsStream is docs/formats/vws.md.
func vwsStream(topic string) streamDialect {
	d := sized(func(content string) dialect { return vwsOn(topic, content) })
	return streamDialect{
		subscriber: greeted{path: d.subPath, hello: []string{d.subscribe}, welcome: d.subscribed},
		publishing: greeted{path: d.pubPath},
		publish:    d.publish, receive: d.receive,
	}
}

// natsStream is NATS' own protocol, over TCP if it is bare.
func natsStream(bare bool) streamDialect {
	content := text(delivered)
	g := greeted{path: "/", binary: true, greeting: natsGreeting, welcome: natsWelcome}
	sub, pub := g, g
	sub.hello = []string{natsConnect + "SUB bench.t 1\r\n" + natsBarrier}
	pub.hello = []string{natsConnect + natsBarrier}
	return streamDialect{
		bare: bare, joined: true, subscriber: sub, publishing: pub,
		publish: fmt.Sprintf("PUB bench.t %d\r\n%s\r\n", delivered, content),
		receive: fmt.Sprintf("MSG bench.t 1 %d\r\n%s\r\n", delivered, content),
	}
}

// stream is one publisher and one subscriber, which may be at different servers, driven by one
// goroutine. It compares every byte, so a lost, repeated, reordered or changed message is an error
// and not a figure. Owned by one goroutine.
type stream struct {
	d                     streamDialect
	publisher, subscriber int
	poller                poller
	publish               pattern // a message, or its frame
	receive               pattern
	out, joined           []byte

	next, done uint64 // the next message to publish and to receive
	marks      marks

	in      []byte
	head    []byte // of a frame that is not complete
	left    uint64 // of the frame's payload
	partial []byte // of a message
	// latency is that of messages that were alone.
	latency *histogram
	sent    time.Time
}

// newStream connects both.
func newStream(pub, sub netip.AddrPort, d streamDialect, spin bool) (*stream, error) {
	poller, err := newPoller(spin)
	if err != nil {
		return nil, err
	}
	s := &stream{
		d: d, publisher: -1, subscriber: -1, poller: poller, publish: newPattern(d.publish), receive: newPattern(d.receive),
		in: make([]byte, 256<<10), latency: new(histogram),
	}
	if !d.bare && !d.joined {
		s.publish = s.publish.framed(d.publishing.binary)
	}
	if s.subscriber, err = d.open(sub, d.subscriber); err == nil {
		s.publisher, err = d.open(pub, d.publishing)
	}
	if err == nil {
		err = s.poller.add(s.subscriber, 0)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("opening publisher and subscriber: %w", err)
	}
	return s, nil
}

// open connects a client and gets it ready.
func (d streamDialect) open(addr netip.AddrPort, g greeted) (fd int, err error) {
	if d.bare {
		return dialBare(addr, g)
	}
	w, err := g.open(addr, 0, 4<<10)
	if err != nil {
		return -1, err
	}
	return w.fd, nil
}

func (s *stream) close() {
	for _, fd := range []int{s.publisher, s.subscriber} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	s.poller.close()
}

// settle returns when the subscriber hears the publisher.
func (s *stream) settle() error {
	for deadline := time.Now().Add(2 * stall); time.Now().Before(deadline); {
		if err := s.send(1); err != nil {
			return err
		}
		for start := time.Now(); time.Since(start) < time.Second; {
			if err := s.wait(10); err != nil {
				return err
			}
			if s.done == s.next {
				return nil
			}
		}
		s.done = s.next // it was lost
	}
	return errors.New("the subscriber does not hear the publisher")
}

// run publishes for the given time, up to ahead messages ahead of the subscriber, and counts what it
// receives.
func (s *stream) run(ahead int, duration time.Duration) (tally, error) {
	*s.latency, s.poller.idle = histogram{}, 0
	start, first := time.Now(), s.next
	last := start
	for {
		now := time.Now()
		if over := now.Sub(start) >= duration; over && s.done == s.next {
			break
		} else if free := ahead - int(s.next-s.done); !over && free >= (ahead+3)/4 {
			if err := s.send(free); err != nil {
				return tally{}, err
			}
		}
		before := s.done
		if err := s.wait(1000); err != nil {
			return tally{}, err
		}
		if s.done > before {
			last = now
		} else if now.Sub(last) > stall {
			return tally{}, fmt.Errorf("%d messages are missing after %v", s.next-s.done, stall)
		}
	}
	return tally{s.next - first, time.Since(start), s.poller.idle, s.latency}, nil
}

// send publishes n messages with one write.
func (s *stream) send(n int) error {
	s.out = s.out[:0]
	for range n {
		s.marks.setSeq(s.next)
		s.next++
		s.out = s.publish.append(s.out, &s.marks)
	}
	if s.d.joined && !s.d.bare {
		s.joined = append(longHead(s.joined[:0], len(s.out)), s.out...)
		s.out, s.joined = s.joined, s.out
	}
	s.sent = time.Now()
	return writeAll(s.publisher, s.out)
}

// longHead appends the header of a client's binary frame of any length.
func longHead(dst []byte, n int) []byte {
	if n < 1<<16 {
		return clientHead(dst, true, n)
	}
	const finBinary, maskLong = 0x82, 0xff
	dst = binary.BigEndian.AppendUint64(append(dst, finBinary, maskLong), uint64(n))
	return append(dst, 0, 0, 0, 0)
}

// wait reads what comes within ms milliseconds.
func (s *stream) wait(ms int) error {
	ready, err := s.poller.wait(ms)
	if err != nil || len(ready) == 0 {
		return err
	}
	n, err := unix.Read(s.subscriber, s.in)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("reading: %w", err)
	case n == 0:
		return fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)
	}
	if s.d.bare {
		return s.take(s.in[:n])
	}
	return s.unframe(s.in[:n])
}

// unframe takes the payloads out of frames.
func (s *stream) unframe(data []byte) error {
	for len(data) > 0 {
		if s.left > 0 {
			n := min(uint64(len(data)), s.left)
			if err := s.take(data[:n]); err != nil {
				return err
			}
			data, s.left = data[n:], s.left-n
			continue
		}
		s.head = append(s.head, data[0])
		data = data[1:]
		const opcode, opClose = 0x0f, 8
		switch h := s.head; {
		case len(h) < 2:
			continue
		case h[0]&opcode >= opClose || h[1] > 127:
			return fmt.Errorf("a frame with the header %x", h)
		case h[1] < 126:
			s.left = uint64(h[1])
		case h[1] == 126 && len(h) == 4:
			s.left = uint64(binary.BigEndian.Uint16(h[2:]))
		case h[1] == 127 && len(h) == 10:
			s.left = binary.BigEndian.Uint64(h[2:])
		default:
			continue
		}
		s.head = s.head[:0]
	}
	return nil
}

// take compares messages with those that are expected.
func (s *stream) take(data []byte) error {
	size := len(s.receive.text)
	for len(data) > 0 {
		message := data
		if len(s.partial) > 0 || len(data) < size {
			n := min(size-len(s.partial), len(data))
			s.partial = append(s.partial, data[:n]...)
			data = data[n:]
			if len(s.partial) < size {
				return nil
			}
			message = s.partial
			s.partial = s.partial[:0]
		} else {
			message, data = data[:size], data[size:]
		}
		var got, want marks
		if err := s.receive.read(message, &got); err != nil {
			return err
		}
		want.setSeq(s.done)
		if got != want {
			return fmt.Errorf("message %d: got %q", s.done, message)
		}
		if s.done++; s.done == s.next {
			s.latency.add(time.Since(s.sent))
		}
	}
	return nil
}

// dialBare opens a TCP connection to a NATS server and gets ready.
func dialBare(addr netip.AddrPort, g greeted) (fd int, err error) {
	fd, err = connectBlocking(addr)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	line, err := readLine(fd)
	if err != nil || !bytes.HasPrefix(line, []byte(g.greeting)) {
		return -1, fmt.Errorf("reading greeting: got %q, want %q: %w", line, g.greeting, err)
	}
	for _, hello := range g.hello {
		if err := writeAll(fd, []byte(hello)); err != nil {
			return -1, fmt.Errorf("saying hello: %w", err)
		}
	}
	if err := expect(fd, []byte(g.welcome)); err != nil {
		return -1, fmt.Errorf("reading welcome: %w", err)
	}
	return fd, unix.SetNonblock(fd, true)
}
