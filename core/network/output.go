package network

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
)

const (
	// corkSize is how much is put together for one write.
	corkSize = 64 << 10
	// corkFrame is the size from which a frame is written by itself, uncopied.
	corkFrame = 16 << 10
	// maxSpare bounds the output queues that a loop keeps for use again, and
	// minSpareCap and maxSpareCap their capacity.
	maxSpare, minSpareCap, maxSpareCap = 4096, 4, 256
)

// queue puts f behind the connection's output, to be written at the end of the
// turn, under the endpoint's bound and policy. It reports whether f was taken. The
// caller keeps f alive until the end of the turn.
func (c *conn) queue(f *frame) bool {
	if c.state != open {
		return false
	}
	if c.window != 0 {
		f = f.deflated(c.window)
	}
	if !c.stuck && !c.fits(f) {
		c.flush()
		if c.state != open {
			return false
		}
	}
	conflating := f.key != nil && c.settings.SlowConsumer == Conflate
	if conflating && c.conflate(f) {
		return true
	}
	if !c.fits(f) && !c.makeRoom(f) {
		return false
	}
	if c.stuck && conflating {
		c.lateness().index.set(f, len(c.out))
	}
	c.push(f)
	return true
}

// queueOwn queues a frame that only this connection gets.
func (c *conn) queueOwn(f *frame) { c.queue(c.loop.ephemeral(f)) }

// queueLast queues the connection's own close frame, whatever the bound says.
func (c *conn) queueLast(f *frame) { c.push(c.loop.ephemeral(f)) }

func (c *conn) push(f *frame) {
	if c.out == nil {
		c.out = c.loop.takeSpare()
	}
	c.out = append(c.out, f)
	c.outBytes += len(f.bytes)
	c.touch()
}

// touch has the output written at the end of the turn.
func (c *conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// firstUnwritten returns the index of the first frame of which nothing is written.
func (c *conn) firstUnwritten() int {
	if c.outOff > 0 {
		return 1
	}
	return 0
}

// removeEarly takes the frame at i, of which nothing is written, out of the queue
// and moves those before it, of which none is conflated: it is quick for a message
// near the front.
func (c *conn) removeEarly(i int) {
	f := c.out[i]
	c.outBytes -= len(f.bytes)
	if c.late != nil {
		c.late.index.left(f, i)
		if c.outOff > 0 {
			c.late.index.left(c.out[0], 0)
		}
		c.late.index.gone++
	}
	if i < c.retained {
		c.setRetained(c.retained - 1)
		f.release()
	}
	copy(c.out[1:], c.out[:i])
	c.out[0] = nil
	c.out = c.out[1:]
}

// removeLate takes the frame at i, of which nothing is written, out of the queue and
// moves those behind it, for queues without index: it is quick near the end.
func (c *conn) removeLate(i int) {
	f := c.out[i]
	c.outBytes -= len(f.bytes)
	if i < c.retained {
		c.setRetained(c.retained - 1)
		f.release()
	}
	c.out = slices.Delete(c.out, i, i+1)
}

// setRetained sets how many frames of the queue, from its front, hold a reference.
// The places in queues that last are counted against the budget.
func (c *conn) setRetained(n int) {
	c.ep.server.budget.add((n - c.retained) * slotBytes)
	c.retained = n
}

// abandon drops all output of which nothing is written.
func (c *conn) abandon() {
	for i := len(c.out) - 1; i >= c.firstUnwritten(); i-- {
		c.lose(c.out[i])
		c.removeLate(i)
	}
	c.late.forget()
}

// write ends c's being dirty.
func (c *conn) write() {
	c.dirty = false
	if c.stuck {
		c.wait()
	} else {
		c.flush()
	}
}

// forget drops all output, also what is written in part, counted under r. Ciphertext
// that waits stays.
func (c *conn) forget(r core.Reason) {
	for _, f := range c.out {
		if !isControl(f) {
			c.count(f, r)
		}
	}
	for _, f := range c.out[:c.retained] {
		f.release()
	}
	c.setRetained(0)
	c.late.forget()
	c.out, c.outOff, c.outBytes = nil, 0, 0
	if c.secure != nil {
		c.outBytes = len(c.secure.rest)
	}
}

// flush writes as much output as the socket takes.
func (c *conn) flush() {
	if c.fd == noFile {
		c.keepOutput()
		return
	}
	for c.outBytes > 0 && c.state != ended {
		b, n, err := c.writeNext()
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
	c.late.forget()
	c.loop.giveSpare(c.out)
	c.out = nil
	if c.state == closed {
		c.shutdown()
	}
}

// keepOutput keeps the output of a connection without a socket until that is back. If it
// lingers there will be none, and nobody to read the output: it is dropped, as what is left
// to carry out must not wait for room.
func (c *conn) keepOutput() {
	switch {
	case c.state == ended:
	case c.orphan:
		c.forgetRest()
		c.forget(core.ReasonGone)
		c.unchoke()
	default:
		c.wait()
	}
}

// writeNext writes what is next to the socket. b is what that was, n what the socket
// took of it.
func (c *conn) writeNext() (b []byte, n int, err error) {
	if c.secure == nil {
		b = c.gather(corkSize)
		n, err = c.offer(b)
		c.written(n)
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
func (c *conn) offer(b []byte) (int, error) {
	for {
		n, err := unix.Write(c.fd, b)
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
// ones put together, up to limit bytes.
func (c *conn) gather(limit int) []byte {
	if len(c.out) == 1 || len(c.out[0].bytes) >= corkFrame {
		return c.out[0].bytes[c.outOff:]
	}
	l := c.loop
	// In a fan-out many connections have the same frames to write: they are put
	// together once.
	if c.outOff == 0 && slices.Equal(l.corked, c.out) {
		return l.cork
	}
	l.corked = l.corked[:0]
	l.cork = append(l.cork[:0], c.out[0].bytes[c.outOff:]...)
	n := 1
	for _, f := range c.out[1:] {
		if len(f.bytes) >= corkFrame || len(l.cork)+len(f.bytes) > limit {
			break
		}
		l.cork = append(l.cork, f.bytes...)
		n++
	}
	// Retained frames may go back to the pool within this turn and come out again
	// with other bytes, so only frames that the turn holds are remembered.
	if c.outOff == 0 && c.retained == 0 && n == len(c.out) {
		l.corked = append(l.corked, c.out...)
	}
	return l.cork
}

// written takes n bytes off the output.
func (c *conn) written(n int) {
	c.outBytes -= n
	c.unchoke()
	gone := 0
	for n > 0 {
		left := len(c.out[gone].bytes) - c.outOff
		if n < left {
			c.outOff += n
			break
		}
		n -= left
		c.outOff = 0
		gone++
	}
	if gone == 0 {
		return
	}
	c.late.left(c.out[:gone])
	for _, f := range c.out[:min(gone, c.retained)] {
		f.release()
	}
	c.setRetained(max(0, c.retained-gone))
	clear(c.out[:gone])
	if gone < len(c.out) {
		c.out = c.out[gone:]
	} else {
		c.out = c.out[:0]
	}
}

// wait keeps what the socket did not take until a later turn.
func (c *conn) wait() {
	if c.settings.SlowConsumer == Conflate {
		c.lateness().index.add(c.out, c.retained)
	}
	c.retainAll()
	if c.stuck {
		return
	}
	c.stuck = true
	if len(c.loop.stuck) == 0 {
		c.loop.nextRetry = time.Now().Add(retryDelay)
	}
	c.loop.stuck = append(c.loop.stuck, c)
	c.loop.askLater(retryDelay)
}

// retainAll holds the output beyond the turn.
func (c *conn) retainAll() {
	b := &c.ep.server.budget
	for _, f := range c.out[c.retained:] {
		f.retain()
		f.charge(b)
	}
	c.setRetained(len(c.out))
}

// Retries of full sockets: the first comes soon; those of a socket that stays full
// become rarer, every time by half, up to some 130 ms.
const (
	retryDelay = 2 * time.Millisecond
	maxBackoff = 6
)

// retryStuck tries the full sockets again whose time has come. gnet does not tell
// when a socket takes output again, as it does not know of ours.
func (l *loop) retryStuck(now time.Time) {
	if len(l.stuck) == 0 || now.Before(l.nextRetry) {
		return
	}
	l.retries++
	todo := append(l.retrying[:0], l.stuck...)
	clear(l.stuck)
	l.stuck = l.stuck[:0]
	for _, c := range todo {
		if c.state == ended {
			c.stuck = false
			continue
		}
		if l.retries%(1<<c.backoff) != 0 {
			l.stuck = append(l.stuck, c)
			continue
		}
		before := c.outBytes
		c.stuck = false
		c.flush()
		switch {
		case c.outBytes < before:
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
