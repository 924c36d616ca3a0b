package network

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// recordSize is how much plaintext is encrypted at once: one full record (RFC
	// 8446, section 5.1). So a slow client has at most that much output as its own
	// ciphertext; the rest stays in frames that it shares with others.
	recordSize = 16 << 10
	// maxAnswers bounds the answers of the TLS layer itself (to key updates) that may wait
	// for a client that does not read.
	maxAnswers = 64 << 10
)

// wire is what a tls.Conn reads from and writes to. In the front door that is the
// socket. On a loop it is memory: the loop lends it the input and takes the output.
// Used by one goroutine at a time.
type wire struct {
	net.Conn        // the socket; nil on a loop
	in       []byte // to be read before the socket; borrowed
	out      []byte // on a loop: what was written

	// On a loop: the read position in a record. buried is how much input was read and has not
	// come out as plaintext.
	head   [recordHead]byte
	nhead  int // bytes of head, while it is read
	left   int // bytes of the record after it
	buried int
}

// recordHead is the size of a record's head (RFC 8446, section 5.1).
const recordHead = 5

// errEmpty says that there is no input now. It is temporary, so that a tls.Conn can
// continue in the middle of a record when more comes.
var errEmpty net.Error = emptyError{}

type emptyError struct{}

func (emptyError) Error() string   { return "no input at the moment" }
func (emptyError) Timeout() bool   { return true }
func (emptyError) Temporary() bool { return true }

func (w *wire) Read(b []byte) (int, error) {
	if len(w.in) > 0 {
		n := copy(b, w.in)
		w.in = w.in[n:]
		w.follow(b[:n])
		return n, nil
	}
	if w.Conn == nil {
		return 0, errEmpty
	}
	return w.Conn.Read(b)
}

// follow notes what the tls.Conn has read.
func (w *wire) follow(b []byte) {
	w.buried += len(b)
	for len(b) > 0 {
		if w.left > 0 {
			n := min(w.left, len(b))
			w.left -= n
			b = b[n:]
			continue
		}
		n := copy(w.head[w.nhead:], b)
		b = b[n:]
		if w.nhead += n; w.nhead == recordHead {
			w.nhead, w.left = 0, int(binary.BigEndian.Uint16(w.head[3:]))
		}
	}
}

// memory returns how many bytes of input the tls.Conn holds. It allocates a buffer for a
// record when it has read the head.
func (w *wire) memory() int {
	switch {
	case w.left > 0:
		return max(w.buried, recordHead+int(binary.BigEndian.Uint16(w.head[3:])))
	case w.nhead > 0 || w.buried > recordSize:
		return w.buried
	}
	return 0
}

// Write takes all of b on a loop, because a failed write would end the tls.Conn.
func (w *wire) Write(b []byte) (int, error) {
	if w.Conn == nil {
		w.out = append(w.out, b...)
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// SetWriteDeadline is called by a tls.Conn that closes.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.Conn == nil {
		return nil
	}
	return w.Conn.SetWriteDeadline(t)
}

// secure is the TLS of one connection. It is made in the front door, which makes the
// handshake on the socket; then it belongs to the connection's loop.
type secure struct {
	conn *tls.Conn
	wire wire

	// Owned by the loop.
	rest     []byte // ciphertext that the socket did not take
	sealed   pieces // ciphertext that came while the connection was behind
	unread   bool   // the tls.Conn was not read to its end
	messages int    // how many messages end in rest
	payload  int    // and the length of their payloads
	silent   bool   // the last record is written: close_notify, or an alert
}

// newSecure returns the server's side of TLS on a socket. read was read from it
// already. The handshake is not made yet.
func newSecure(socket net.Conn, read []byte, config *tls.Config) *secure {
	s := &secure{wire: wire{Conn: socket, in: read}}
	s.conn = tls.Server(&s.wire, config)
	return s
}

// waits reports whether there is input that is not decrypted yet; later input must wait behind
// it. s may be nil.
func (s *secure) waits() bool { return s != nil && (s.unread || s.sealed.size > 0) }

// leaveSocket turns the wire into memory. From here on s belongs to a loop.
func (s *secure) leaveSocket() { s.wire.Conn = nil }

// state returns the state after the handshake; nil without TLS.
func (s *secure) state() *tls.ConnectionState {
	if s == nil {
		return nil
	}
	state := s.conn.ConnectionState()
	return &state
}

// decrypt takes ciphertext from the socket, after what the tls.Conn still holds. b is
// borrowed. All of it is decrypted: what may not be parsed yet is kept as plaintext, as
// without TLS. Only what comes while the connection is behind, or is too much for its turn,
// is kept as ciphertext.
func (c *conn) decrypt(b []byte) {
	defer c.ep.server.recovered(c)
	if rest := c.unseal(b); len(rest) > 0 && !c.deaf() {
		c.secure.sealed.add(rest)
		c.parkIfMuch()
	}
}

// decryptRest continues where the connection stepped back, until it is held.
func (c *conn) decryptRest() {
	s := c.secure
	in := s.sealed
	s.sealed, s.unread = pieces{}, false
	c.unseal(nil)
	for len(in.list) > 0 && !s.unread && !c.heldBack() && !c.deaf() {
		rest := c.unseal(in.list[0])
		in.skip(len(in.list[0]) - len(rest))
	}
	if in.size > 0 && !c.deaf() {
		s.sealed = in
	}
}

// unseal decrypts b until the connection is behind, and returns what is left of b.
func (c *conn) unseal(b []byte) (rest []byte) {
	s, l := c.secure, c.loop
	if c.isBehind() || s.waits() {
		return b
	}
	if l.plain == nil {
		l.plain = make([]byte, recordSize)
	}
	s.wire.in = b
	for !c.deaf() {
		if l.effort.over() {
			if c.stepBack(); c.isBehind() {
				s.unread = true
				break
			}
		}
		n, err := s.conn.Read(l.plain)
		l.effort.add(0)
		if n > 0 {
			s.wire.buried = s.wire.nhead
			c.receive(l.plain[:n])
		}
		if errors.Is(err, errEmpty) {
			break
		}
		if err != nil {
			c.hungUp(err)
			break
		}
	}
	rest, s.wire.in = s.wire.in, nil
	if c.state == ended {
		return nil
	}
	c.collect()
	if len(s.rest) > maxAnswers {
		c.end(core.ReasonSlow)
	}
	return rest
}

// hungUp is called when the TLS stream has ended: with the client's close_notify, or with a
// fault, which the tls.Conn has answered with an alert. What the client has said before its
// close_notify is carried out.
func (c *conn) hungUp(err error) {
	notified := errors.Is(err, io.EOF)
	switch {
	case c.state == ended:
	case notified && c.heldBack() && (c.in.kept.size > 0 || c.format.busy()):
		c.secure.unread = true // the tls.Conn will say it again
	case notified && c.isOpen() && c.format.busy():
		c.format.behind(c.endStream)
	case notified:
		c.endStream()
	default:
		c.ep.server.log.Debug("ending TLS", "endpoint", c.ep.Name, "conn", c.id, "remote", c.remote, "error", err)
		c.depart(core.ReasonTLS)
		c.dropOutput(c.reason)
		c.secure.silent = true
		c.collect()
		c.finish()
	}
}

// endStream ends a connection behind the client's close_notify.
func (c *conn) endStream() {
	if c.state == ended {
		return
	}
	c.depart(core.ReasonLost)
	c.collect()
	c.finish()
}

// collect queues what the tls.Conn has written by itself: alerts and answers to key
// updates.
func (c *conn) collect() {
	s := c.secure
	if len(s.wire.out) == 0 {
		return
	}
	c.setRest(append(s.rest, s.wire.out...))
	s.wire.out = nil
	c.touch()
}

// seal returns the ciphertext to write next: what the socket did not take, else
// the next record, in the loop's buffer. It is valid until the next call on the loop.
func (c *conn) seal() ([]byte, error) {
	s, l := c.secure, c.loop
	c.collect()
	if len(s.rest) > 0 {
		return s.rest, nil
	}
	b := l.gather(&c.out, recordSize)
	b = b[:min(len(b), recordSize)]
	s.wire.out = l.cipher[:0]
	_, err := s.conn.Write(b)
	l.cipher, s.wire.out = s.wire.out, nil
	if err != nil {
		return nil, err
	}
	s.messages, s.payload = c.out.ending(len(b))
	c.out.wrote(len(b))
	return l.cipher, nil
}

// sent notes that the socket took n bytes of b, which came from seal.
func (c *conn) sent(b []byte, n int) {
	s := c.secure
	c.unchoke()
	if n == len(b) {
		c.setRest(nil)
		return
	}
	c.setRest(append(s.rest[:0], b[n:]...))
}

// setRest sets the waiting ciphertext, which counts against the budget.
func (c *conn) setRest(b []byte) {
	c.ep.server.budget.add(len(b) - len(c.secure.rest))
	c.secure.rest = b
}

// dropCiphertext drops the waiting ciphertext.
func (c *conn) dropCiphertext() {
	s := c.secure
	if s == nil || len(s.rest) == 0 {
		return
	}
	c.ep.Stats.Dropped.Add(core.ReasonGone, uint64(s.messages))
	c.ep.Stats.DroppedBytes.Add(core.ReasonGone, uint64(s.payload))
	c.setRest(nil)
}

// dropSecure drops the waiting ciphertext, and TLS.
func (c *conn) dropSecure() {
	c.dropCiphertext()
	c.secure = nil
}

// sayLast queues close_notify (RFC 8446, section 6.1), once, and reports whether there
// is something to write. Without it the client cannot tell a clean end from a cut.
func (c *conn) sayLast() bool {
	s := c.secure
	if s == nil || s.silent {
		return false
	}
	s.silent = true
	// It writes to memory, which does not fail.
	_ = s.conn.CloseWrite()
	c.collect()
	return c.waiting() > 0
}
