package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// door is the front door of one listener.
type door struct {
	// Static after construction.
	server   *Server
	listen   string // as the endpoints write it
	listener net.Listener
	plain    *plainServer
	done     sync.WaitGroup
	stopped  chan struct{} // closed by stop

	accepting sync.WaitGroup
	stopping  sync.Once

	// tls and proxyProtocol are those of all the endpoints; tls is nil without TLS.
	tls           *tls.Config
	proxyProtocol ProxyProtocol

	// Atomic. endpoints is replaced as a whole, by Server.Exchange.
	endpoints atomic.Pointer[[]*endpoint]
	failed    atomic.Int64 // when an accept failed, in nanoseconds since the server started; 0 is never
}

func newDoor(s *Server, address string, ln net.Listener, config *tls.Config, p ProxyProtocol) *door {
	d := &door{server: s, listen: address, listener: ln, tls: config, proxyProtocol: p, stopped: make(chan struct{})}
	d.plain = newPlainServer(d)
	return d
}

// open begins to accept.
func (d *door) open() {
	d.accepting.Go(d.accept)
	d.done.Go(d.plain.serve)
}

// stop stops accepting. Accepted connections continue. Only the first call has an effect.
func (d *door) stop() (err error) {
	d.stopping.Do(func() {
		close(d.stopped)
		err = d.listener.Close()
	})
	return err
}

// socket is a *net.TCPConn or a *net.UnixConn.
type socket interface {
	net.Conn
	SetWriteBuffer(bytes int) error
	CloseWrite() error
}

// drain waits for pending HTTP requests until ctx ends. The door has stopped.
func (d *door) drain(ctx context.Context) error {
	err := d.plain.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("draining HTTP on %s: %w", d.listen, err)
	}
	d.accepting.Wait()
	d.done.Wait()
	return err
}

// accept accepts until the listener is closed. A failed accept (for instance, no file
// descriptor left) is counted and retried after a while.
func (d *door) accept() {
	const first, longest = 5 * time.Millisecond, time.Second
	delay := first
	for {
		nc, err := d.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			d.server.stats.AcceptErrors.Add(1)
			d.failed.Store(int64(time.Since(d.server.started)))
			if delay == first {
				d.server.log.Error("accepting", logging.Bounded("", "", slog.String("listen", d.listener.Addr().String())), slog.Any("error", err))
			}
			select {
			case <-d.stopped:
				return
			case <-time.After(delay):
			}
			delay = min(2*delay, longest)
			continue
		}
		delay = first
		d.accepted(nc.(socket))
	}
}

// accepted lets an accepted connection in, or turns it away. It does not wait for the
// client.
func (d *door) accepted(nc socket) {
	s := d.server
	v := &visitor{Conn: nc, tcp: nc, client: addrPortOf(nc.RemoteAddr()), came: time.Now()}
	if r, ok := s.admission.admit(v, time.Since(s.started)); !ok {
		s.stats.Rejected.Inc(r)
		d.logRefusal(v.remote(), refusal{reason: r, why: whyNot(r)})
		d.turnAwayAside(nc, r)
		return
	}
	s.halfOpen.add(nc)
	go func() {
		defer s.halfOpen.remove(nc) // the last thing: Shutdown waits for it
		defer s.admission.endHandshake(v)
		defer func() {
			if fault := recover(); fault != nil {
				s.panicked(nil, fault)
				turnAway(v, http.StatusInternalServerError, "internal error")
				_ = v.Close()
			}
		}()
		d.identify(v)
	}()
}

// maxAside bounds the goroutines that tell clients why they are turned away.
const maxAside = 2048

// turnAwayAside tells a client why it is not let in. The client must be able to read this
// while it is still sending, which takes a while and a goroutine. When there are too many of
// these, the answer is written directly; that does not block on a new socket, but a client
// that has sent something may find its connection reset. If the client expects TLS, the
// connection is just closed.
func (d *door) turnAwayAside(nc socket, r core.Reason) {
	if d.tls != nil {
		_ = nc.Close()
		return
	}
	aside := &d.server.aside
	if aside.Add(1) > maxAside {
		aside.Add(-1)
		turnAway(nc, statusOf(r), whyNot(r))
		_ = nc.Close()
		return
	}
	go func() {
		defer aside.Add(-1)
		turnAway(nc, statusOf(r), whyNot(r))
		lingeringClose(&visitor{Conn: nc, tcp: nc})
	}()
}

// visitor is a connection before it is upgraded. It is read and written through the
// embedded Conn: the socket or, with TLS, the tls.Conn on it. It must not have ReadFrom and
// WriteTo of the socket, which would bypass both.
type visitor struct {
	net.Conn
	tcp    socket
	client netip.AddrPort // the client's address, by the word of trusted proxies; zero at a Unix socket
	hosts  []string       // the hosts that its upgrade request asked for, if known
	secure *secure        // nil without TLS
	read   []byte         // read before, not used yet
	came   time.Time      // when it was accepted

	handshake, plain place // of its handshake, and of plain HTTP after it

	info any // what the application stores with the connection (core.Handshake)
}

// keepsake returns what the connection keeps of info; nil if there is nothing.
func (v *visitor) keepsake() *any {
	if v.info == nil {
		return nil
	}
	kept := v.info
	return &kept
}

// RemoteAddr returns the address of the client, also if a proxy sent it with the PROXY
// protocol.
func (v *visitor) RemoteAddr() net.Addr {
	if !v.client.IsValid() {
		return &net.UnixAddr{Name: v.remote(), Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(v.client)
}

// remote returns the address of the client as text: "unix" if there is none.
func (v *visitor) remote() string {
	if !v.client.IsValid() {
		return "unix"
	}
	return v.client.String()
}

func (v *visitor) Read(b []byte) (int, error) {
	if len(v.read) > 0 {
		n := copy(b, v.read)
		v.read = v.read[n:]
		return n, nil
	}
	return v.Conn.Read(b)
}

// welcome makes the TLS handshake, if there is TLS, and continues with the request.
func (d *door) welcome(v *visitor) {
	if d.tls == nil || d.handshakeTLS(v) {
		d.receive(v)
	}
}

// handshakeTLS makes the TLS handshake and reports whether it succeeded. If not, the
// visitor was turned away.
func (d *door) handshakeTLS(v *visitor) bool {
	_ = v.SetDeadline(time.Now().Add(d.server.options.HandshakeTimeout))
	s := newSecure(v.Conn, v.read, d.tls)
	err := s.conn.Handshake()
	if err == nil {
		v.Conn, v.read, v.secure = s.conn, nil, s
		return true
	}
	switch fault, ok := errors.AsType[tls.RecordHeaderError](err); {
	case isTimeout(err):
		d.reject(v, core.ReasonTimeout, 0, "TLS handshake not finished in time")
	case ok && looksLikeHTTP(fault.RecordHeader):
		d.reject(v, core.ReasonTLS, http.StatusBadRequest, "client sent an HTTP request to an HTTPS server")
	case ok && looksLikeProxy(fault.RecordHeader):
		d.reject(v, core.ReasonTLS, 0, errWantsProxy.Error())
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		d.reject(v, core.ReasonLost, 0, "")
	default:
		// The alert is written; the client gets time to read it.
		d.server.stats.Rejected.Inc(core.ReasonTLS)
		d.server.stats.Handshakes.Observe(time.Since(v.came))
		d.logRefusal(v.remote(), failedTLS(err))
		d.linger(v)
	}
	return false
}

// failedTLS returns why a TLS handshake failed. After the first words of its error, crypto/tls
// shows what the client sent; that goes into values.
func failedTLS(err error) refusal {
	r := refusal{reason: core.ReasonTLS, why: err.Error()}
	begin := strings.LastIndex(r.why, "tls: ") + len("tls: ")
	if begin < len("tls: ") {
		return refusal{reason: core.ReasonTLS, why: "the TLS handshake failed", values: cause(err)}
	}
	if i := strings.IndexAny(r.why[begin:], ":(\""); i >= 0 {
		r.why, r.values = strings.TrimRight(r.why[:begin+i], " "), cause(err)
	}
	return r
}

// looksLikeHTTP reports whether head, which should be that of a TLS record, is the
// beginning of an HTTP request.
func looksLikeHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

// looksLikeProxy reports whether head is the beginning of a PROXY header.
func looksLikeProxy(head [5]byte) bool {
	return string(head[:]) == proxyWord[:5] || string(head[:]) == proxySignature[:5]
}

// identify is the first step of a visitor: it finds out the client's address.
func (d *door) identify(v *visitor) {
	s := d.server
	if err := v.tcp.SetWriteBuffer(s.options.SendBuffer); err != nil {
		d.reject(v, core.ReasonLost, 0, "")
		return
	}
	_ = v.SetDeadline(time.Now().Add(s.options.HandshakeTimeout))
	if err := d.readProxyHeader(v); err != nil {
		d.rejectFor(v, err)
		return
	}
	caller := v.client.Addr()
	s.admission.handshakes.move(&v.handshake, caller)
	if !s.admission.enterAddress(caller) {
		d.reject(v, core.ReasonLimit, statusOf(core.ReasonLimit), whyNot(core.ReasonLimit))
		return
	}
	defer s.admission.leaveAddress(caller)
	d.welcome(v)
}

// receive reads the request head and hands the visitor to the upgrade or to plain HTTP.
func (d *door) receive(v *visitor) {
	s := d.server
	_ = v.SetDeadline(time.Now().Add(s.options.HandshakeTimeout))
	buf, end, err := readHead(v, s.options.MaxHeader)
	switch {
	case errors.Is(err, errHeadTooLarge):
		d.reject(v, core.ReasonTooLarge, http.StatusRequestHeaderFieldsTooLarge, "request head too large")
		return
	case isTimeout(err):
		d.reject(v, core.ReasonTimeout, http.StatusRequestTimeout, "request head not received in time")
		return
	case errors.Is(err, errWantsTLS) && v.secure == nil:
		d.reject(v, core.ReasonTLS, http.StatusBadRequest, err.Error())
		return
	case errors.Is(err, errWantsTLS):
		d.reject(v, core.ReasonHandshake, http.StatusBadRequest, errRequestLine.Error())
		return
	case errors.Is(err, errRequestLine), errors.Is(err, errLineEnd), errors.Is(err, errWantsProxy):
		d.reject(v, core.ReasonHandshake, http.StatusBadRequest, err.Error())
		return
	case err != nil:
		d.reject(v, core.ReasonLost, 0, "")
		return
	}
	h, err := parseHead(buf[:end], s.options.MaxHeaderFields)
	if err != nil {
		r := refusalOf(err)
		d.reject(v, r.reason, r.status, r.why)
		return
	}
	if !s.admission.heard(v) {
		d.reject(v, core.ReasonLost, 0, "")
		return
	}
	if !h.upgrade {
		_ = v.SetDeadline(time.Time{})
		d.plain.take(newPlainConn(d, v, h, buf, end))
		return
	}
	v.read = buf[end:]
	d.upgrade(v, h)
}

// rejectFor rejects a visitor for a *refusedVisitor.
func (d *door) rejectFor(v *visitor, err error) {
	if r, ok := errors.AsType[*refusedVisitor](err); ok {
		d.reject(v, r.reason, r.status, r.text, cause(r.cause)...)
		return
	}
	d.reject(v, core.ReasonLost, 0, "")
}

// reject turns a visitor away before its endpoint is known. A visitor that expects TLS and
// has none yet cannot be told why, unless it speaks HTTP (ReasonTLS). values are for the log.
func (d *door) reject(v *visitor, r core.Reason, status int, text string, values ...slog.Attr) {
	if d.server.admission.handshakes.lost(&v.handshake) {
		r, status, text, values = core.ReasonOverload, 0, whyEvicted, nil
	}
	d.server.stats.Rejected.Inc(r)
	d.server.stats.Handshakes.Observe(time.Since(v.came))
	d.logRefusal(v.remote(), refusal{reason: r, why: text, values: values})
	if status != 0 && (d.tls == nil || v.secure != nil || r == core.ReasonTLS) {
		turnAway(v, status, text)
		d.linger(v)
		return
	}
	_ = v.tcp.Close()
}

// whyEvicted is why a client that was let in already is evicted.
const whyEvicted = "too many connections of its address whose requests are not all there: a client of another one needed the place"

// linger closes v after it was turned away, so that it can still read why. Its place may be
// given to another client meanwhile.
func (d *door) linger(v *visitor) {
	d.server.admission.handshakes.set(&v.handshake, unheard)
	lingeringClose(v)
}

// turnAwayTimeout is the write timeout of an answer that turns a client away. The socket has
// room for the answer, but when a machine has far too much to do many seconds can pass before a
// goroutine runs, and a write that begins after its deadline writes nothing: the client would not learn
// why.
const turnAwayTimeout = time.Minute

// turnAway writes a whole HTTP response. An error does not matter: the client is
// being turned away.
func turnAway(nc net.Conn, status int, text string) {
	_ = nc.SetWriteDeadline(time.Now().Add(turnAwayTimeout))
	extra := ""
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		extra = "Retry-After: 1\r\n"
	}
	_, _ = fmt.Fprintf(nc, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), extra, len(text), text)
}

// lingeringClose closes the visitor so that what was written arrives even if the
// client is still sending: unread input would make the kernel reset the connection.
func lingeringClose(v *visitor) {
	nc := v.tcp
	defer func() { _ = nc.Close() }()
	if v.secure != nil {
		// An error does not matter: the client, and so the socket, may be gone.
		_ = v.secure.conn.CloseWrite()
	}
	if nc.CloseWrite() != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	var sink [4 << 10]byte
	for range 256 {
		if _, err := nc.Read(sink[:]); err != nil {
			return
		}
	}
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
