package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// plainServer is a net/http server that gets its connections from the front door.
type plainServer struct {
	// Static after construction.
	door *door
	http *http.Server

	conns chan net.Conn // unbuffered, never closed
	done  chan struct{} // closed by Close

	open atomic.Int64 // connections taken and not closed or given back
}

func newPlainServer(d *door) *plainServer {
	p := &plainServer{door: d, conns: make(chan net.Conn), done: make(chan struct{})}
	p.http = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: d.server.options.HandshakeTimeout,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    d.server.options.MaxHeader,
		ConnState:         p.follow,
		ConnContext:       withVisitor,
		ErrorLog:          slog.NewLogLogger(d.server.log.Handler(), slog.LevelDebug),
	}
	return p
}

func (p *plainServer) serve() {
	if err := p.http.Serve(p); !errors.Is(err, http.ErrServerClosed) {
		p.door.server.log.Error("serving HTTP", "listen", p.Addr().String(), "error", err)
	}
}

// take hands a connection over, if there may be one more.
func (p *plainServer) take(v *visitor) {
	if !upTo(&p.open, p.door.server.admission.limits.Load().MaxHandshakes) {
		p.door.reject(v, core.ReasonOverload, statusOf(core.ReasonOverload), whyNot(core.ReasonOverload))
		return
	}
	select {
	case p.conns <- v:
	case <-p.done:
		p.open.Add(-1)
		_ = v.Close()
	}
}

// follow counts the connections that http.Server has no longer.
func (p *plainServer) follow(_ net.Conn, s http.ConnState) {
	if s == http.StateClosed || s == http.StateHijacked {
		p.open.Add(-1)
	}
}

// visitorKey is the key of a connection's visitor in the context of its requests.
type visitorKey struct{}

func withVisitor(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, visitorKey{}, nc.(*visitor))
}

// Accept, Close and Addr make the server its own net.Listener.
func (p *plainServer) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close is called by http.Server, once.
func (p *plainServer) Close() error {
	close(p.done)
	return nil
}

// Addr returns the address of the front door.
func (p *plainServer) Addr() net.Addr { return p.door.listener.Addr() }

// ServeHTTP answers what is no upgrade request.
func (p *plainServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server knows TLS only from connections that are bare tls.Conns.
	r.TLS = r.Context().Value(visitorKey{}).(*visitor).secure.state()
	if isUpgrade(r) {
		p.comeBack(w, r)
		return
	}
	s := p.door.server
	if s.draining.Load() {
		s.stats.Rejected.Inc(core.ReasonDrain)
		p.logRefusal("", r, core.ReasonDrain, whyNot(core.ReasonDrain))
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		http.Error(w, whyNot(core.ReasonDrain), http.StatusServiceUnavailable)
		return
	}
	r.RemoteAddr = p.clientOf(r)
	ep := p.door.match(r.URL.Path)
	if ep == nil || ep.Path == "" || r.Method == http.MethodOptions && ep.profile.OptionsStatus == 0 {
		for _, other := range *p.door.endpoints.Load() {
			if other.HTTP != nil {
				// Like a client of a WebSocket it waits rather than have its message dropped.
				if err := s.WaitForRoom(r.Context()); err == nil {
					other.HTTP.ServeHTTP(w, r)
				}
				return
			}
		}
	}
	if ep == nil {
		s.stats.Rejected.Inc(core.ReasonHandshake)
		p.logRefusal("", r, core.ReasonHandshake, "no endpoint at this path")
		http.NotFound(w, r)
		return
	}
	status := ep.profile.PlainStatus
	if status == 0 {
		status = http.StatusBadRequest
	}
	if options := ep.profile.OptionsStatus; options != 0 && r.Method == http.MethodOptions {
		w.WriteHeader(options)
		return
	}
	ep.Stats.Rejected.Inc(core.ReasonHandshake)
	p.logRefusal(ep.Name, r, core.ReasonHandshake, "it does not ask for an upgrade")
	if ep.profile.CORS && r.Header.Get("Origin") != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	http.Error(w, fmt.Sprintf("this is a WebSocket endpoint (%s): connect with a WebSocket client", ep.Protocol), status)
}

// logRefusal logs a request that is answered with an error.
func (p *plainServer) logRefusal(endpoint string, r *http.Request, reason core.Reason, why string) {
	p.door.server.logRefusal(endpoint, p.clientOf(r), refusal{reason: reason, why: why, values: []slog.Attr{
		logging.Quoted("method", r.Method), logging.Quoted("path", r.URL.Path),
	}})
}

func isUpgrade(r *http.Request) bool {
	h := headOf(r, "Upgrade")
	return h.hasToken("Upgrade", "websocket")
}

// clientOf returns the address of the client, as far as trusted proxies tell.
func (p *plainServer) clientOf(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	h := headOf(r, "X-Forwarded-For")
	return p.door.server.admission.limits.Load().client(from, h.tokens("X-Forwarded-For")).String()
}

// headOf returns a head with the fields called name alone; name is canonical.
func headOf(r *http.Request, name string) head {
	h := head{}
	for _, v := range r.Header[name] {
		h.fields = append(h.fields, field{[]byte(name), []byte(v)})
	}
	return h
}

// comeBack returns a connection to the front door: a client (a proxy, mostly) that
// kept its connection after a plain request and asks for an upgrade now.
func (p *plainServer) comeBack(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		// The front door would not see it: http.Server takes it out of the header.
		p.door.server.stats.Rejected.Inc(core.ReasonHandshake)
		p.logRefusal("", r, core.ReasonHandshake, errBody.Error())
		w.Header().Set("Connection", "close")
		http.Error(w, errBody.Error(), http.StatusBadRequest)
		return
	}
	a := &p.door.server.admission
	if !a.handshake() {
		p.door.server.stats.Rejected.Inc(core.ReasonOverload)
		p.logRefusal("", r, core.ReasonOverload, whyNot(core.ReasonOverload))
		w.Header().Set("Retry-After", "1")
		http.Error(w, whyNot(core.ReasonOverload), statusOf(core.ReasonOverload))
		return
	}
	defer a.handshaken()
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "upgrade is not possible here", http.StatusInternalServerError)
		return
	}
	v := nc.(*visitor)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Proto, r.Host)
	// Neither write can fail: a bytes.Buffer takes everything.
	_ = r.Header.Write(&b)
	b.WriteString("\r\n")
	if n := rw.Reader.Buffered(); n > 0 {
		_, _ = io.CopyN(&b, rw.Reader, int64(n))
	}
	v.read = append(b.Bytes(), v.read...)
	p.door.receive(v)
}
