package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
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

	open places // of connections that were taken and not closed or returned
}

func newPlainServer(d *door) *plainServer {
	p := &plainServer{door: d, conns: make(chan net.Conn), done: make(chan struct{})}
	p.http = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: d.server.options.HandshakeTimeout,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       d.server.options.HTTPIdleTimeout,
		MaxHeaderBytes:    d.server.options.MaxHeader,
		ConnState:         p.follow,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(d.server.log.Handler(), slog.LevelDebug),
	}
	return p
}

func (p *plainServer) serve() {
	if err := p.http.Serve(p); !errors.Is(err, http.ErrServerClosed) {
		p.door.server.log.Error("serving HTTP", "listen", p.Addr().String(), "error", err)
	}
}

// take hands a connection to net/http, if one more is allowed.
func (p *plainServer) take(c *plainConn) {
	l := p.door.server.admission.limits.Load()
	evicted, r, ok := p.open.take(&c.visitor.plain, c.visitor, l.MaxHTTPPerAddress, l)
	if !ok {
		p.door.reject(c.visitor, r, statusOf(r), whyNot(r))
		return
	}
	if evicted != nil {
		p.evict(evicted)
	}
	select {
	case p.conns <- c:
	case <-p.done:
		p.open.leave(&c.visitor.plain)
		_ = c.Close()
	}
}

// evict closes a connection whose place was evicted.
func (p *plainServer) evict(lost *place) {
	v := lost.visitor
	if lost.stage == unheard {
		p.door.server.stats.Rejected.Inc(core.ReasonOverload)
		p.door.logRefusal(v.remote(), refusal{reason: core.ReasonOverload, why: whyEvicted})
	}
	// Closing TLS may wait for the client.
	go func() { _ = v.Close() }()
}

// follow tracks the state of http.Server's connections.
func (p *plainServer) follow(nc net.Conn, s http.ConnState) {
	c := nc.(*plainConn)
	c.busy.Store(s == http.StateActive)
	switch s {
	case http.StateActive:
		if c.wantsMore() {
			p.open.set(&c.visitor.plain, unheard)
		} else {
			p.open.set(&c.visitor.plain, working)
		}
	case http.StateIdle:
		p.open.set(&c.visitor.plain, idle)
	case http.StateClosed, http.StateHijacked:
		p.open.leave(&c.visitor.plain)
	}
}

// connKey is the key of a connection in the context of its requests.
type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc.(*plainConn))
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
	r.TLS = r.Context().Value(connKey{}).(*plainConn).secure.state()
	if isUpgrade(r) {
		p.comeBack(w, r)
		return
	}
	if p.asksHealth(r) {
		p.answerHealth(w)
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
	ep, ofFormat := p.endpointOf(r)
	if ep == nil {
		s.stats.Rejected.Inc(core.ReasonHandshake)
		p.logRefusal("", r, core.ReasonHandshake, "no endpoint at this path")
		http.NotFound(w, r)
		return
	}
	if t := ep.tap.Load(); t != nil {
		x := t.exchange(w, r)
		defer x.end()
		w = x
	}
	if !ofFormat {
		p.refuse(ep, w, r)
		return
	}
	// Like a WebSocket client, it waits so that its message is not dropped.
	if err := s.WaitForRoom(r.Context()); err == nil {
		ep.HTTP.ServeHTTP(w, r.WithContext(core.WithRefused(r.Context(), func(reason core.Reason) {
			p.logRefusal(ep.Name, r, reason, "the format refuses the request")
		})))
	}
}

// endpointOf returns the endpoint that a request is for, nil if there is none, and whether its format
// answers the request.
func (p *plainServer) endpointOf(r *http.Request) (ep *endpoint, ofFormat bool) {
	ep = p.door.match(r.URL.Path)
	if ep == nil || ep.Path == "" || r.Method == http.MethodOptions && ep.profile.OptionsStatus == 0 {
		for _, other := range *p.door.endpoints.Load() {
			if other.HTTP != nil {
				return other, true
			}
		}
	}
	return ep, false
}

// refuse answers a request that should have been an upgrade.
func (p *plainServer) refuse(ep *endpoint, w http.ResponseWriter, r *http.Request) {
	status := ep.profile.PlainStatus
	if status == 0 {
		status = http.StatusBadRequest
	}
	if options := ep.profile.OptionsStatus; options != 0 && r.Method == http.MethodOptions {
		w.WriteHeader(options)
		return
	}
	ep.Stats.Rejected.Inc(core.ReasonHandshake)
	why, advice := "it does not ask for an upgrade", "connect with a WebSocket client"
	if r.Header.Get("Sec-Websocket-Key") != "" {
		// Many proxies send this until they are configured to pass an upgrade on.
		why = "it has a Sec-WebSocket-Key, but no Upgrade: websocket: a proxy has taken it out"
		advice = "the request has a Sec-WebSocket-Key, but no Upgrade: websocket; a proxy before the broker must pass Upgrade and Connection on"
	}
	p.logRefusal(ep.Name, r, core.ReasonHandshake, why)
	if ep.profile.CORS && r.Header.Get("Origin") != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	if status == http.StatusUpgradeRequired {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
	}
	http.Error(w, fmt.Sprintf("this is a WebSocket endpoint (%s): %s", ep.Protocol, advice), status)
}

// asksHealth reports whether r is a load balancer's health check. The path may also belong to
// an endpoint; only GET and HEAD requests are health checks.
func (p *plainServer) asksHealth(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, ep := range *p.door.endpoints.Load() {
		if path := ep.settings.Load().Health; path != "" && path == r.URL.Path {
			return true
		}
	}
	return false
}

// answerHealth says whether new clients are welcome. Even during a drain it is an answer, and
// is not counted as a refusal.
func (p *plainServer) answerHealth(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if p.door.server.Ready() {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "not ready\n")
}

// logRefusal logs a request that is answered with an error.
func (p *plainServer) logRefusal(endpoint string, r *http.Request, reason core.Reason, why string) {
	refused := refusal{reason: reason, why: why, values: []slog.Attr{
		logging.Quoted("method", r.Method), logging.Quoted("path", r.URL.Path),
	}}
	if endpoint == "" {
		p.door.logRefusal(p.clientOf(r), refused)
		return
	}
	p.door.server.logRefusal(endpoint, p.clientOf(r), refused)
}

func isUpgrade(r *http.Request) bool {
	h := headOf(r, "Upgrade")
	return h.hasToken("Upgrade", "websocket")
}

// clientOf returns the address of the client, by the word of trusted proxies.
func (p *plainServer) clientOf(r *http.Request) string {
	// At a Unix socket RemoteAddr is not an address.
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	h := headOf(r, "X-Forwarded-For", "Forwarded", "X-Real-Ip")
	if client := p.door.server.admission.limits.Load().client(from, &h); client.IsValid() {
		return client.String()
	}
	return r.RemoteAddr
}

// headOf returns a head with only the named fields. The names are canonical.
func headOf(r *http.Request, names ...string) head {
	h := head{}
	for _, name := range names {
		for _, v := range r.Header[name] {
			h.fields = append(h.fields, field{[]byte(name), []byte(v)})
		}
	}
	return h
}

// comeBack returns a connection to the front door: a client (mostly a proxy) that
// kept its connection after a plain request now asks for an upgrade.
func (p *plainServer) comeBack(w http.ResponseWriter, r *http.Request) {
	a := &p.door.server.admission
	v := r.Context().Value(connKey{}).(*plainConn).visitor
	if !a.beginHandshake(v) {
		p.door.server.stats.Rejected.Inc(core.ReasonOverload)
		p.logRefusal("", r, core.ReasonOverload, whyNot(core.ReasonOverload))
		w.Header().Set("Retry-After", "1")
		http.Error(w, whyNot(core.ReasonOverload), statusOf(core.ReasonOverload))
		return
	}
	defer a.endHandshake(v)
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "upgrade is not possible here", http.StatusInternalServerError)
		return
	}
	c := nc.(*plainConn)
	_ = c.SetDeadline(time.Now().Add(p.door.server.options.HandshakeTimeout))
	// The input after the request, in order. Peek returns all that is buffered.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c.visitor.read = slices.Concat(early, c.buf, c.visitor.read)
	p.door.upgrade(c.visitor, c.upgrade)
}
