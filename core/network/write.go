package network

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
)

const (
	// corkSize is how many bytes are joined for one write.
	corkSize = 64 << 10
	// corkFrame is the size from which a frame is written by itself, without a copy.
	corkFrame = 16 << 10
	// maxSpare bounds the output queues that a loop keeps for reuse, and
	// minSpareCap and maxSpareCap their capacity.
	maxSpare, minSpareCap, maxSpareCap = 4096, 4, 256
)

// errNothing: output has a size but no bytes.
var errNothing = errors.New("output without bytes")

// queue appends f to the connection's output, to be written at the end of the turn,
// under the endpoint's bounds and policy. It reports whether f was accepted.
func (c *conn) queue(f lent) bool {
	if !c.isOpen() {
		return false
	}
	plain := f.frame
	if c.window != 0 {
		f = f.deflated(c.window)
	}
	if c.out.list != stuck && !c.fits(f.frame) {
		c.flush()
		if !c.isOpen() {
			return false
		}
	}
	if c.out.newest != nil && f.key != nil {
		if lost, ok := c.out.replace(f, c.settings.OutboundLimit); ok {
			c.conflated(lost)
			if c.tap != nil {
				c.tap.said(plain)
			}
			return true
		}
	}
	if !c.fits(f.frame) && !c.makeRoom(f.frame) {
		return false
	}
	c.push(f)
	if c.tap != nil {
		c.tap.said(plain)
	}
	return true
}

// queueOwn queues a frame for this connection alone, and takes the caller's reference.
func (c *conn) queueOwn(f *frame) { c.queue(c.loop.lend(f)) }

// queueLast queues the connection's own close frame, whatever the bound says.
func (c *conn) queueLast(f *frame) {
	if c.tap != nil {
		c.tap.said(f)
	}
	c.push(c.loop.lend(f))
}

func (c *conn) push(f lent) {
	if c.state == ended {
		return
	}
	if c.out.frames == nil {
		c.out.frames = c.loop.takeSpare()
	}
	if c.out.push(f) {
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// touch lists the connection for the end of the turn, to write output that is not in frames.
func (c *conn) touch() {
	if c.out.listForTurn() {
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// waiting returns how many bytes wait for the socket.
func (c *conn) waiting() int {
	if c.secure != nil {
		return c.out.size + len(c.secure.rest)
	}
	return c.out.size
}

// writeFrom writes the output of a connection that is in list, and takes it out of the list. A
// panic cuts the connection, because it is unknown how much of its output is written.
func (c *conn) writeFrom(list listed) {
	if c.out.list != list {
		return
	}
	c.out.enlist(unlisted)
	defer func() {
		if fault := recover(); fault != nil {
			c.ep.server.cutAfterPanic(c, fault)
		}
	}()
	c.flush()
}

// flush writes as much output as the socket takes.
func (c *conn) flush() {
	if !c.socket.writable() {
		c.keepOutput()
		return
	}
	for c.waiting() > 0 && c.state != ended {
		b, n, err := c.writeNext()
		if err == nil && len(b) == 0 {
			c.ep.server.log.Error("ending a connection: nothing can be written of its output", append(c.attrs(core.ReasonInternal),
				slog.Any("error", errNothing), slog.Int("waiting", c.waiting()))...)
			c.end(core.ReasonInternal)
			return
		}
		if err != nil {
			c.end(core.ReasonLost)
			c.keepOutput()
			return
		}
		if n < len(b) {
			c.wait()
			return
		}
	}
	if c.state == ended {
		return
	}
	c.backoff = 0
	c.noteOwed()
	c.loop.giveSpare(c.out.frames)
	c.out.frames, c.out.newest = nil, nil
	if c.state == finishing {
		c.shutdown()
	}
}

// keepOutput keeps the output of a connection without a socket until the socket is back. If
// the connection lingers, no socket will come back and nobody will read the output: it is
// dropped, because the input that is left to carry out must not wait for room.
func (c *conn) keepOutput() {
	switch {
	case c.state == ended:
	case c.socket.where == nowhere:
		c.dropCiphertext()
		c.dropOutput(core.ReasonGone)
		c.unchoke()
	default:
		c.wait()
	}
}

// writeNext writes the next bytes to the socket. b is what it offered, n how much of it the
// socket took.
func (c *conn) writeNext() (b []byte, n int, err error) {
	if c.secure == nil {
		b = c.loop.gather(&c.out, corkSize)
		n, err = c.offer(b)
		c.out.wrote(n)
		c.unchoke()
		return b, n, err
	}
	if b, err = c.seal(); err != nil {
		return nil, 0, err
	}
	n, err = c.offer(b)
	c.sent(b, n)
	return b, n, err
}

// offer returns how much of b the socket took: nothing if it is full.
func (c *conn) offer(b []byte) (int, error) { return offer(c.socket.fd, b) }

// offer writes what a socket takes of b: nothing if it is full.
func offer(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

// gather returns what to write next: the first frame as it is, or several small
// ones joined, up to limit bytes.
func (l *loop) gather(o *output, limit int) []byte {
	if len(o.frames) == 1 || len(o.frames[0].bytes) >= corkFrame {
		return o.frames[0].bytes[o.off:]
	}
	// In a fan-out many connections write the same frames: they are joined once.
	if o.off == 0 && slices.Equal(l.corked, o.frames) {
		return l.cork
	}
	l.corked = l.corked[:0]
	l.cork = append(l.cork[:0], o.frames[0].bytes[o.off:]...)
	n := 1
	for _, f := range o.frames[1:] {
		if len(f.bytes) >= corkFrame || len(l.cork)+len(f.bytes) > limit {
			break
		}
		l.cork = append(l.cork, f.bytes...)
		n++
	}
	// Kept frames may go back to the pool within this turn and be reused for
	// other bytes, so only frames that the turn holds are remembered.
	if o.off == 0 && o.kept == 0 && n == len(o.frames) {
		l.corked = append(l.corked, o.frames...)
	}
	return l.cork
}

// wait keeps the output that the socket did not take for a later turn.
func (c *conn) wait() {
	if c.settings.SlowConsumer == Conflate {
		c.out.conflate()
	}
	listed := c.out.keepFor(stuck)
	c.noteOwed()
	if !listed {
		return
	}
	if len(c.loop.stuck) == 0 {
		c.loop.nextRetry = time.Now().Add(retryDelay)
	}
	c.loop.stuck = append(c.loop.stuck, c)
	c.loop.askLater(retryDelay)
}

// postpone leaves the output of c to a later turn.
func (l *loop) postpone(c *conn) {
	if c.out.list != inTurn {
		return
	}
	if c.out.keepFor(postponed) {
		l.unwritten = append(l.unwritten, c)
	}
	l.askLater(0)
}

// writeTurn writes the output that was queued in this turn, and leaves what is too much to a
// later one.
func (l *loop) writeTurn() {
	// Writing may end connections, and so list others.
	for i := 0; i < len(l.dirty); i++ {
		if i < turnWrites {
			l.dirty[i].writeFrom(inTurn)
		} else {
			l.postpone(l.dirty[i])
		}
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
}

// writeRest writes the output that earlier turns have postponed, as much as one turn may.
func (l *loop) writeRest() {
	if len(l.unwritten) == 0 {
		return
	}
	n := min(len(l.unwritten), turnWrites)
	for _, c := range l.unwritten[:n] {
		c.writeFrom(postponed)
	}
	clear(l.unwritten[:n])
	if l.unwritten = l.unwritten[n:]; len(l.unwritten) == 0 {
		l.unwritten = nil
		return
	}
	l.askLater(0)
}

// Retries of full sockets: the first comes soon. For a socket that stays full the delay
// doubles each time, up to some 130 ms.
const (
	retryDelay = 2 * time.Millisecond
	maxBackoff = 6
)

// retryStuck retries the full sockets whose retry is due. gnet does not report when a
// socket takes output again, because it does not know of our output.
func (l *loop) retryStuck(now time.Time) {
	if len(l.stuck) == 0 || now.Before(l.nextRetry) {
		return
	}
	l.retries++
	todo := append(l.retrying[:0], l.stuck...)
	clear(l.stuck)
	l.stuck = l.stuck[:0]
	for _, c := range todo {
		if c.out.list != stuck {
			continue
		}
		if l.retries%(1<<c.backoff) != 0 {
			l.stuck = append(l.stuck, c)
			continue
		}
		before := c.waiting()
		c.writeFrom(stuck)
		switch {
		case c.waiting() < before:
			c.backoff = 0
		case c.backoff < maxBackoff:
			c.backoff++
		}
	}
	clear(todo)
	l.retrying = todo[:0]
	l.measure()
	l.nextRetry = now.Add(retryDelay)
	if len(l.stuck) > 0 {
		l.askLater(retryDelay)
	}
}

// takeSpare returns an empty output queue.
func (l *loop) takeSpare() []*frame {
	if n := len(l.spare); n > 0 {
		q := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return q
	}
	return make([]*frame, 0, minSpareCap)
}

// giveSpare takes an empty output queue back.
func (l *loop) giveSpare(q []*frame) {
	if cap(q) >= minSpareCap && cap(q) <= maxSpareCap && len(l.spare) < maxSpare {
		l.spare = append(l.spare, q[:0])
	}
}
