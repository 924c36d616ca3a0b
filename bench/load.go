package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// maxInFlight is the most messages that a load keeps in flight.
const maxInFlight = 64

// stall is how long nothing may arrive while something is expected.
const stall = 5 * time.Second

// load is one publisher and many subscribers, in one or several dialects, driven by one goroutine
// with one epoll. It compares every byte that a subscriber reads with the expected one, so a lost,
// repeated, reordered or changed message is an error and not a figure. Owned by one goroutine.
type load struct {
	speaker     dialect
	listeners   []dialect
	publisher   int
	subscribers []subscriber

	// next is the sequence number of the next message to publish; done is how
	// many have reached all subscribers. done <= next <= done+maxInFlight.
	next, done uint64
	// slots hold what is in flight: message seq is in slots[seq%maxInFlight].
	slots [maxInFlight]slot

	poller poller
	buffer []byte
	out    []byte
	// latency is from the publisher's write to a subscriber's read.
	latency *histogram
}

type subscriber struct {
	fd int
	// listener is the index of its dialect in the load's listeners.
	listener int
	// seq and offset are the byte of the frame that is read next.
	seq    uint64
	offset int
}

type slot struct {
	// frames are what is to be read, by listener.
	frames  [][]byte
	sent    time.Time
	missing int
}

// newLoad connects n subscribers, with a contender's listeners in turn, and a publisher to its
// server, and returns when a message has reached each of them.
func newLoad(addr netip.AddrPort, c contender, n int, spin bool) (*load, error) {
	return newLoadAcross(addr, addr, c.speaker, c.listeners, n, spin, 300*time.Millisecond)
}

// newLoadAcross is newLoad with the publisher at one server and the subscribers at another one.
// patience is how long a message may take to reach the next subscriber.
func newLoadAcross(pub, sub netip.AddrPort, speaker dialect, listeners []dialect, n int, spin bool, patience time.Duration) (*load, error) {
	poller, err := newPoller(spin)
	if err != nil {
		return nil, err
	}
	l := &load{
		speaker:   speaker,
		listeners: listeners,
		publisher: -1,
		poller:    poller,
		buffer:    make([]byte, 64<<10),
		latency:   new(histogram),
	}
	for i := range n {
		if err := l.subscribe(sub); err != nil {
			l.close()
			return nil, fmt.Errorf("opening subscriber %d: %w", i, err)
		}
	}
	if l.publisher, err = dial(pub, speaker.pubPath, speaker.opening(speaker.announce, "")); err != nil {
		l.close()
		return nil, fmt.Errorf("opening publisher: %w", err)
	}
	if err := l.settle(patience); err != nil {
		l.close()
		return nil, fmt.Errorf("settling: %w", err)
	}
	return l, nil
}

func (l *load) subscribe(addr netip.AddrPort) error {
	index := len(l.subscribers)
	listener := index % len(l.listeners)
	d := l.listeners[listener]
	fd, err := dial(addr, d.subPath, d.opening(d.subscribe, d.subscribed))
	if err != nil {
		return err
	}
	l.subscribers = append(l.subscribers, subscriber{fd: fd, listener: listener})
	return l.poller.add(fd, index)
}

// close closes all sockets.
func (l *load) close() {
	for _, s := range l.subscribers {
		_ = unix.Close(s.fd)
	}
	if l.publisher >= 0 {
		_ = unix.Close(l.publisher)
	}
	l.poller.close()
}

// settle waits until every subscriber receives. Some formats do not acknowledge subscriptions, so a
// message is the only sign: settle publishes one, gives it a moment and makes those that missed it
// begin with the next. Once a message has reached all of them, all are subscribed for good.
func (l *load) settle(patience time.Duration) error {
	for deadline := time.Now().Add(stall + 2*patience); time.Now().Before(deadline); {
		if err := l.publish(1); err != nil {
			return err
		}
		for last := time.Now(); l.done < l.next && time.Since(last) < patience; {
			n, err := l.receive(10)
			if err != nil {
				return err
			}
			if n > 0 {
				last = time.Now()
			}
		}
		if l.done == l.next {
			return nil
		}
		l.skip()
	}
	return errors.New("not every subscriber hears the publisher")
}

// skip gives up what is in flight; no subscriber expects it any more.
func (l *load) skip() {
	l.done = l.next
	for i := range l.subscribers {
		l.subscribers[i].seq = l.next
	}
}

// run publishes for the given time, with up to inFlight messages in flight, and counts the
// deliveries.
func (l *load) run(inFlight int, duration time.Duration) (tally, error) {
	*l.latency, l.poller.idle = histogram{}, 0
	start, first := time.Now(), l.next
	last := start
	for {
		now := time.Now()
		free := inFlight - int(l.next-l.done)
		if now.Sub(start) >= duration {
			if l.next == l.done {
				break
			}
		} else if free > 0 {
			if err := l.publish(free); err != nil {
				return tally{}, err
			}
		}
		n, err := l.receive(1000)
		if err != nil {
			return tally{}, err
		}
		if n > 0 {
			last = now
		} else if now.Sub(last) > stall {
			return tally{}, fmt.Errorf("waiting for message %d: %d deliveries missing after %v",
				l.done, l.slots[l.done%maxInFlight].missing, stall)
		}
	}
	return tally{(l.next - first) * uint64(len(l.subscribers)), time.Since(start), l.poller.idle, l.latency}, nil
}

// publish sends the next n messages with one write.
func (l *load) publish(n int) error {
	l.out = l.out[:0]
	for i := range uint64(n) {
		l.out = append(l.out, l.speaker.clientFrame(write(l.speaker.publish, l.next+i))...)
	}
	now := time.Now()
	for range n {
		l.slots[l.next%maxInFlight] = slot{
			frames:  l.expected(l.next),
			sent:    now,
			missing: len(l.subscribers),
		}
		l.next++
	}
	if err := writeAll(l.publisher, l.out); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// expected returns the frames of a message, by listener.
func (l *load) expected(seq uint64) [][]byte {
	frames := make([][]byte, len(l.listeners))
	for i, d := range l.listeners {
		frames[i] = d.serverFrame(write(d.receive, seq))
	}
	return frames
}

// receive waits up to ms milliseconds for bytes from the server and reads them.
// It returns the number of sockets that had some.
func (l *load) receive(ms int) (int, error) {
	ready, err := l.poller.wait(ms)
	if err != nil {
		return 0, err
	}
	for _, event := range ready {
		if err := l.read(int(event.Fd)); err != nil {
			return 0, fmt.Errorf("reading subscriber %d: %w", event.Fd, err)
		}
	}
	return len(ready), nil
}

// read reads what a subscriber's socket holds.
func (l *load) read(index int) error {
	s := &l.subscribers[index]
	n, err := unix.Read(s.fd, l.buffer)
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
		if s.seq >= l.next {
			return fmt.Errorf("unexpected bytes %q", data[:min(len(data), 160)])
		}
		slot := &l.slots[s.seq%maxInFlight]
		frame := slot.frames[s.listener]
		want := frame[s.offset:]
		m := min(len(want), len(data))
		if !bytes.Equal(data[:m], want[:m]) {
			return fmt.Errorf("message %d: got %q, want %q", s.seq, data[:m], want[:m])
		}
		data = data[m:]
		if s.offset += m; s.offset < len(frame) {
			continue
		}
		s.seq, s.offset = s.seq+1, 0
		l.latency.add(now.Sub(slot.sent))
		if slot.missing--; slot.missing == 0 {
			l.done++
		}
	}
	return nil
}
