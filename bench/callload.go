package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// callers is how many clients call at the same time, each with one call in flight.
const callers = 64

// callLoad is many callers and, unless the server answers by itself, one answerer, driven by one
// goroutine with one epoll. It compares every message with the expected one, so an answer that is
// lost, doubled, changed or goes to another caller is an error and not a figure. Owned by one
// goroutine.
type callLoad struct {
	poller   poller
	callers  []caller
	answerer *answerer
	request  pattern   // a caller's frame
	hears    []pattern // a caller's messages
	out      []byte
	seq      uint64 // of the last call
	waiting  int    // callers with a call in flight
	until    time.Time
	// latency is from a caller's write to its read of the answer.
	latency *histogram
}

// caller is one client that calls.
type caller struct {
	wire  *wire
	asked marks // of its last call
	heard int   // how many of hears it has received for it
	sent  time.Time
}

// answerer is the client that answers.
type answerer struct {
	wire            *wire
	request, answer pattern
	joined          bool
	out, message    []byte
}

// newCallLoad connects the answerer and then n callers to the server of c.
func newCallLoad(addr netip.AddrPort, c callContender, n int, spin bool) (*callLoad, error) {
	return newCallLoadAcross(addr, addr, c, n, spin, func() error { return nil })
}

// newCallLoadAcross is newCallLoad with the callers at one server and the answerer at another one.
// spread returns when the one knows of the other's.
func newCallLoadAcross(calling, answering netip.AddrPort, c callContender, n int, spin bool, spread func() error) (*callLoad, error) {
	poller, err := newPoller(spin)
	if err != nil {
		return nil, err
	}
	l := &callLoad{poller: poller, latency: new(histogram)}
	message := newPattern(c.caller.request)
	l.request = message.framed(c.caller.binary)
	for _, h := range c.caller.hears {
		l.hears = append(l.hears, newPattern(h))
	}
	if err := l.connect(calling, answering, c, n, spread); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// framed returns the pattern of a client's whole frame around the message.
func (p pattern) framed(binary bool) pattern {
	head := clientHead(nil, binary, len(p.text))
	framed := pattern{text: append(head, p.text...)}
	for _, h := range p.holes {
		h.at += len(head)
		framed.holes = append(framed.holes, h)
	}
	return framed
}

func (l *callLoad) connect(calling, answering netip.AddrPort, c callContender, n int, spread func() error) error {
	if d := c.answerer; d != nil {
		w, err := d.open(answering, 0, 256<<10)
		if err != nil {
			return fmt.Errorf("opening answerer: %w", err)
		}
		l.answerer = &answerer{wire: w, request: newPattern(d.request), answer: newPattern(d.answer), joined: d.joined}
		if err := l.poller.add(w.fd, n); err != nil {
			return err
		}
	}
	if err := spread(); err != nil {
		return err
	}
	for i := range n {
		w, err := c.caller.open(calling, i, 4<<10)
		if err != nil {
			return fmt.Errorf("opening caller %d: %w", i, err)
		}
		l.callers = append(l.callers, caller{wire: w})
		l.callers[i].asked.setWho(uint64(i))
		if err := l.poller.add(w.fd, i); err != nil {
			return err
		}
	}
	return nil
}

// open opens a WebSocket and gets ready. who is the number of the client.
func (g greeted) open(addr netip.AddrPort, who, size int) (*wire, error) {
	w, err := newWire(addr, g.path, g.binary, size)
	if err != nil {
		return nil, err
	}
	if err := g.play(w, who); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (g greeted) play(w *wire, who int) error {
	if g.greeting != "" {
		message, err := w.await()
		if err != nil || !strings.HasPrefix(string(message), g.greeting) {
			return fmt.Errorf("reading greeting: got %q, want %q: %w", message, g.greeting, err)
		}
	}
	var m marks
	m.setWho(uint64(who))
	for _, hello := range g.hello {
		p := newPattern(hello)
		if err := w.say(p.append(nil, &m)); err != nil {
			return fmt.Errorf("saying hello: %w", err)
		}
	}
	if g.welcome == "" {
		return nil
	}
	message, err := w.await()
	if err != nil || string(message) != g.welcome {
		return fmt.Errorf("reading welcome: got %q, want %q: %w", message, g.welcome, err)
	}
	return nil
}

// close closes all sockets.
func (l *callLoad) close() {
	for _, c := range l.callers {
		c.wire.close()
	}
	if l.answerer != nil {
		l.answerer.wire.close()
	}
	l.poller.close()
}

// run makes every caller call, and call again when it has its answer, for the given time, and
// counts the answers.
func (l *callLoad) run(duration time.Duration) (tally, error) {
	*l.latency, l.poller.idle = histogram{}, 0
	start, first := time.Now(), l.seq
	l.until = start.Add(duration)
	for i := range l.callers {
		if err := l.call(&l.callers[i]); err != nil {
			return tally{}, fmt.Errorf("calling: %w", err)
		}
	}
	for last := start; l.waiting > 0; {
		ready, err := l.poller.wait(1000)
		if err != nil {
			return tally{}, err
		}
		now := time.Now()
		if len(ready) == 0 && now.Sub(last) > stall {
			return tally{}, fmt.Errorf("%d calls are unanswered after %v", l.waiting, stall)
		}
		for _, event := range ready {
			last = now
			if err := l.receive(int(event.Fd)); err != nil {
				return tally{}, err
			}
		}
	}
	return tally{l.seq - first, time.Since(start), l.poller.idle, l.latency}, nil
}

// call makes the next call of c.
func (l *callLoad) call(c *caller) error {
	l.seq++
	l.waiting++
	c.asked.setSeq(l.seq)
	c.heard = 0
	l.out = l.request.append(l.out[:0], &c.asked)
	c.sent = time.Now()
	return writeAll(c.wire.fd, l.out)
}

// receive reads what the client with an index received, and acts on it.
func (l *callLoad) receive(index int) error {
	if index == len(l.callers) {
		if err := l.answerer.serve(); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
		return nil
	}
	c := &l.callers[index]
	if err := c.wire.read(); err != nil {
		return fmt.Errorf("reading as caller %d: %w", index, err)
	}
	for {
		message, err := c.wire.next()
		if err == nil && message != nil {
			err = l.hear(c, message)
		}
		if err != nil {
			return fmt.Errorf("reading as caller %d: %w", index, err)
		}
		if message == nil {
			return nil
		}
	}
}

var errNotAsked = errors.New("a message that was not asked for")

// hear processes one message of a caller.
func (l *callLoad) hear(c *caller, message []byte) error {
	if c.heard == len(l.hears) {
		return fmt.Errorf("%w: %q", errNotAsked, message)
	}
	got := c.asked
	if err := l.hears[c.heard].read(message, &got); err != nil {
		return err
	}
	// The first message may bring the id; all later ones must have the same.
	if c.heard == 0 {
		c.asked.id = got.id
	}
	if got != c.asked {
		return fmt.Errorf("%w: %q", errNotAsked, message)
	}
	if c.heard++; c.heard < len(l.hears) {
		return nil
	}
	l.waiting--
	now := time.Now()
	l.latency.add(now.Sub(c.sent))
	if now.Before(l.until) {
		return l.call(c)
	}
	return nil
}

// serve answers all requests that have arrived, with one write.
func (a *answerer) serve() error {
	if err := a.wire.read(); err != nil {
		return err
	}
	a.out, a.message = a.out[:0], a.message[:0]
	for {
		message, err := a.wire.next()
		if err != nil {
			return err
		}
		if message == nil {
			break
		}
		if err := a.take(message); err != nil {
			return err
		}
		if !a.joined {
			a.flush()
		}
	}
	a.flush()
	if len(a.out) == 0 {
		return nil
	}
	return writeAll(a.wire.fd, a.out)
}

// take adds the answers to a message: to one request, or to several if they may be joined.
func (a *answerer) take(message []byte) error {
	var m marks
	for a.joined && len(message) > len(a.request.text) {
		if err := a.request.read(message[:len(a.request.text)], &m); err != nil {
			return err
		}
		a.message = a.answer.append(a.message, &m)
		message = message[len(a.request.text):]
	}
	if err := a.request.read(message, &m); err != nil {
		return err
	}
	a.message = a.answer.append(a.message, &m)
	return nil
}

// flush makes one WebSocket message of the answers.
func (a *answerer) flush() {
	if len(a.message) > 0 {
		a.out = append(clientHead(a.out, a.wire.binary, len(a.message)), a.message...)
		a.message = a.message[:0]
	}
}
