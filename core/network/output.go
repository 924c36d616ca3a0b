package network

import (
	"slices"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
)

const (
	// corkSize is how much is put together for one write.
	corkSize = 64 << 10
	// corkFrame is the size from which a frame is written by itself, uncopied.
	corkFrame = 16 << 10
	// maxSpare bounds the output queues that a loop keeps for use again, and
	// maxSpareCap their capacity.
	maxSpare, maxSpareCap = 4096, 256
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
	if c.outBytes > 0 && c.outBytes+len(f.bytes) > c.ep.OutboundLimit && !c.makeRoom(f) {
		return false
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
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// makeRoom is called when f does not fit under the bound: it writes what it can,
// and if that does not help applies the policy. It reports whether f may be queued.
func (c *conn) makeRoom(f *frame) bool {
	if !c.stuck {
		c.flush()
	}
	if c.state != open {
		return false
	}
	if c.outBytes == 0 || c.outBytes+len(f.bytes) <= c.ep.OutboundLimit {
		return true
	}
	switch c.ep.SlowConsumer {
	case DropNewest:
		c.ep.Stats.Dropped.Inc(core.ReasonSlow)
		return false
	case DropOldest:
		for c.outBytes+len(f.bytes) > c.ep.OutboundLimit {
			if !c.dropOldest() {
				break
			}
		}
		return true
	}
	c.ep.Stats.Dropped.Inc(core.ReasonSlow)
	c.sayGoodbye(core.ReasonSlow)
	return false
}

// dropOldest drops the oldest frame of which nothing is written. Control frames
// stay: a pong or close is small and owed.
func (c *conn) dropOldest() bool {
	i := 0
	if c.outOff > 0 {
		i = 1
	}
	for i < len(c.out) && isControl(c.out[i]) {
		i++
	}
	if i >= len(c.out) {
		return false
	}
	c.drop(i)
	c.ep.Stats.Dropped.Inc(core.ReasonSlow)
	return true
}

func isControl(f *frame) bool { return ws.OpCode(f.bytes[0] & 15).IsControl() }

// drop takes the frame at i, of which nothing is written, out of the queue.
func (c *conn) drop(i int) {
	f := c.out[i]
	c.outBytes -= len(f.bytes)
	if i < c.retained {
		c.retained--
		f.release()
	}
	c.out = slices.Delete(c.out, i, i+1)
}

// abandon drops all output of which nothing is written.
func (c *conn) abandon() {
	keep := 0
	if c.outOff > 0 {
		keep = 1
	}
	for len(c.out) > keep {
		if !isControl(c.out[len(c.out)-1]) {
			c.ep.Stats.Dropped.Inc(c.reason)
		}
		c.drop(len(c.out) - 1)
	}
}

// flush writes as much output as the socket takes.
func (c *conn) flush() {
	if c.fd == noFile {
		if c.state != ended {
			c.wait()
		}
		return
	}
	for len(c.out) > 0 && c.state != ended {
		b := c.gather()
		n, err := unix.Write(c.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			n, err = 0, nil
		}
		if err != nil {
			c.end(core.ReasonLost)
			return
		}
		c.written(n)
		if n < len(b) {
			c.wait()
			return
		}
	}
	if c.state == ended {
		return
	}
	c.backoff = 0
	c.loop.giveSpare(c.out)
	c.out = nil
	if c.state == closed {
		c.shutdown()
	}
}

// gather returns what to write next: the first frame as it is, or several small
// ones put together.
func (c *conn) gather() []byte {
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
		if len(f.bytes) >= corkFrame || len(l.cork)+len(f.bytes) > corkSize {
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
		if gone < c.retained {
			c.out[gone].release()
		}
		gone++
	}
	if gone == 0 {
		return
	}
	c.retained = max(0, c.retained-gone)
	rest := copy(c.out, c.out[gone:])
	clear(c.out[rest:])
	c.out = c.out[:rest]
}

// wait keeps what the socket did not take until a later turn.
func (c *conn) wait() {
	for _, f := range c.out[c.retained:] {
		f.retain()
	}
	c.retained = len(c.out)
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
	return make([]*frame, 0, 4)
}

// giveSpare takes an empty output queue back.
func (l *loop) giveSpare(q []*frame) {
	if q != nil && cap(q) <= maxSpareCap && len(l.spare) < maxSpare {
		l.spare = append(l.spare, q[:0])
	}
}
