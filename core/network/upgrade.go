package network

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// upgrade answers an upgrade request and moves the connection into a loop.
func (d *door) upgrade(v *visitor, h *head) {
	s := d.server
	from, limits := v.client, s.admission.limits.Load()
	v.client = limits.client(from, h)
	target, err := url.ParseRequestURI(h.target)
	if err != nil {
		d.reject(v, core.ReasonHandshake, http.StatusBadRequest, "malformed request target")
		return
	}
	v.hosts = limits.hosts(from, h, target)
	ep := d.match(target.Path)
	if ep == nil {
		d.reject(v, core.ReasonHandshake, http.StatusNotFound, "no endpoint at this path", logging.Quoted("path", target.Path))
		return
	}
	opened := false
	defer func() { ep.Stats.Handshakes.Observe(time.Since(v.came), opened) }()
	if r, ok := ep.enter(v.client.Addr()); !ok {
		ep.Stats.Rejected.Inc(r)
		s.logRefusal(ep.Name, v.remote(), refusal{reason: r, why: whyNot(r)})
		turnAway(v, statusOf(r), whyNot(r))
		d.linger(v)
		return
	}
	// Whatever happens from here on, even a panic: a connection that does not open gives its
	// places back.
	var terms terms
	defer func() {
		if !opened {
			s.windows.close(terms.history)
			ep.leave(v.client.Addr(), terms.user, terms.counted)
			s.leaveBridge(terms.bridge)
		}
	}()
	shake := newHandshake(h)
	terms, ok := ep.handshake(v, h, target, shake)
	if !ok {
		ep.tapRefused(h.raw, shake.Bytes())
		_, _ = v.Write(shake.Bytes())
		d.linger(v)
		return
	}
	c := &conn{
		ep: ep, id: terms.number(s), bridge: terms.bridge != 0,
		remote:  v.remote(),
		user:    terms.user,
		counted: terms.counted,
		window:  terms.window,
		in:      input{history: terms.history},
		trace:   h.trace(),
		info:    v.keepsake(),
		secure:  v.secure,
		out:     output{budget: &s.budget, level: &ep.Stats.Queued},
		upgrade: &upgrade{response: shake.Bytes(), early: bytes.Clone(v.read)},
	}
	c.format = ep.translation.translator(c)
	c.tap = ep.tapUpgrade(c.id, h.raw, c.upgrade.response)
	_ = v.SetDeadline(time.Time{})
	if c.secure != nil {
		c.secure.leaveSocket()
	}
	// EnrollContext works on a duplicate of the descriptor and closes this one. It does not
	// report a poller that refuses the duplicate; but then OnOpen was not called.
	_, err = s.client.EnrollContext(v.tcp, c)
	if opened = c.loop != nil; err == nil && !opened {
		err = errNotEnrolled
	}
	if err != nil {
		if c.tap != nil {
			c.tap.end(true)
		}
		ep.Stats.Rejected.Inc(core.ReasonOverload)
		s.log.Error("enrolling connection", logging.Bounded(ep.Name, core.ReasonOverload.String()), slog.String("remote", c.remote), slog.Any("error", err))
	}
}

// match returns the endpoint of a path.
func (d *door) match(path string) *endpoint {
	var anyPath *endpoint
	for _, ep := range *d.endpoints.Load() {
		switch ep.Path {
		case path:
			return ep
		case "":
			anyPath = ep
		}
	}
	return anyPath
}

// terms are the results of an upgrade.
type terms struct {
	window  wsflate.WindowBits // of permessage-deflate; 0 without
	history *history           // of what the client compresses; nil if it keeps no context
	user    *core.Identity     // counted by enterAs
	counted bool               // in the cluster too
	bridge  uint64             // the number of the connection if it is a bridge's; else 0
}

// number returns the number of the connection.
func (t *terms) number(s *Server) uint64 {
	if t.bridge != 0 {
		return t.bridge
	}
	return s.ids.Add(1)
}

// handshake is the upgrader's connection: it reads the request as parseHead has understood
// it, and writes the response. The upgrader checks each field alone, so it does not get the
// fields as they were sent.
type handshake struct {
	request []byte // the unread part
	room    [192]byte
	bytes.Buffer
}

func newHandshake(h *head) *handshake {
	s := new(handshake)
	b := append(s.room[:0], "X"...)
	if string(h.method) == http.MethodGet {
		b = append(b[:0], http.MethodGet...)
	}
	// The format decides whether HTTP/1.0 is allowed.
	b = append(b, " / HTTP/"...)
	b = append(b, h.major, '.', max(h.minor, '1'))
	if h.http10() || h.count("Host") > 0 {
		b = append(b, "\r\nHost: -"...)
	}
	if h.upgrade {
		b = append(b, "\r\nUpgrade: websocket"...)
	}
	if h.hasToken("Connection", "Upgrade") {
		b = append(b, "\r\nConnection: Upgrade"...)
	}
	switch {
	case h.hasToken("Sec-WebSocket-Version", "13"):
		b = append(b, "\r\nSec-WebSocket-Version: 13"...)
	case h.count("Sec-WebSocket-Version") > 0:
		b = append(b, "\r\nSec-WebSocket-Version: 0"...)
	}
	if h.count("Sec-WebSocket-Key") > 0 {
		key := h.get("Sec-WebSocket-Key")
		b = append(b, "\r\nSec-WebSocket-Key: "...)
		b = append(b, key[:min(len(key), maxKey+1)]...)
	}
	s.request = append(b, "\r\n\r\n"...)
	return s
}

// maxKey is the length of a proper key in bytes; the upgrader refuses others.
const maxKey = 24

func (s *handshake) Read(b []byte) (int, error) {
	if len(s.request) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.request)
	s.request = s.request[n:]
	return n, nil
}

// hangUp adds "Connection: close" to a response that refuses; the upgrader leaves it out.
func (s *handshake) hangUp() {
	status, rest, _ := bytes.Cut(bytes.Clone(s.Bytes()), []byte("\r\n"))
	s.Reset()
	_, _ = s.Write(status)
	_, _ = s.WriteString("\r\nConnection: close\r\n")
	_, _ = s.Write(rest)
}

// handshake makes the response to an upgrade request, and reports whether it accepts the
// upgrade and on which terms. It may block on authenticator, application and authorizer.
func (ep *endpoint) handshake(v *visitor, h *head, target *url.URL, s *handshake) (t terms, ok bool) {
	var refused *refusal
	u := ws.Upgrader{
		ReadBufferSize: 256, // the request fits
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			var header ws.HandshakeHeader
			if header, t, refused = ep.check(v, h, target); refused != nil {
				return nil, ep.rejection(h, refused.status)
			}
			return header, nil
		},
	}
	if _, err := u.Upgrade(s); err != nil {
		s.hangUp()
		if refused == nil {
			refused = &refusal{reason: core.ReasonHandshake, why: err.Error(), values: []slog.Attr{
				logging.Quoted("path", target.Path), logging.Quoted("connection", h.get("Connection")), logging.Quoted("version", h.get("Sec-WebSocket-Version")),
			}}
		}
		ep.Stats.Rejected.Inc(refused.reason)
		ep.server.logRefusal(ep.Name, v.remote(), *refused)
		return t, false
	}
	return t, true
}

// check is called if the request is a valid upgrade. It checks origin, subprotocol, the
// client's identity, and asks application and authorizer.
func (ep *endpoint) check(v *visitor, h *head, target *url.URL) (ws.HandshakeHeader, terms, *refusal) {
	var t terms
	if h.http10() && ep.profile.HTTP11 {
		return nil, t, &refusal{core.ReasonHandshake, http.StatusUpgradeRequired, "its request is of HTTP/1.0", nil}
	}
	if !ep.originAllowed(h.get("Origin"), v.hosts) {
		return nil, t, &refusal{core.ReasonOrigin, http.StatusForbidden, "pages of this origin may not connect", []slog.Attr{
			logging.Quoted("origin", h.get("Origin")), logging.Quoted("host", strings.Join(v.hosts, ", ")), slog.String("allowed", ep.allowedOrigins()),
		}}
	}
	offered := h.tokens("Sec-WebSocket-Protocol")
	selected, ok := ep.subprotocol(offered, members(h.get("Sec-WebSocket-Protocol")))
	if !ok {
		open := core.OpenProtocols(offered, ep.settings.Load().TokenProtocols)
		return nil, t, &refusal{core.ReasonHandshake, http.StatusBadRequest, "it offers several subprotocols, and must offer one", []slog.Attr{
			logging.Quoted("offered", strings.Join(open, ", ")),
		}}
	}
	user, refused := ep.judge(v, h, target)
	if refused != nil {
		return nil, t, refused
	}
	if t.counted, ok = ep.enterAs(user); !ok {
		return nil, t, &refusal{core.ReasonLimit, statusOf(core.ReasonLimit), "too many connections of one user", []slog.Attr{logging.Quoted("user", user.User())}}
	}
	t.user = user
	// Some clients compare field names with case: they are spelled as in the standard, not as
	// in http.Header.
	response := http.Header{}
	if mark := h.get(core.BridgeHeader); mark != "" && ep.server.options.Bridges != nil {
		number := ep.server.ids.Add(1)
		answer, err := ep.server.options.Bridges.Join(number, mark)
		if err != nil {
			return nil, t, &refusal{core.ReasonDenied, http.StatusLoopDetected, err.Error(), nil}
		}
		t.bridge = number
		response[core.BridgeHeader] = []string{answer}
	}
	if selected != "" {
		response["Sec-WebSocket-Protocol"] = []string{selected}
	}
	if ep.profile.Deflate {
		var answer string
		if answer, t.window, t.history = ep.server.windows.negotiate(h); answer != "" {
			response["Sec-WebSocket-Extensions"] = []string{answer}
		}
	}
	return ws.HandshakeHeaderHTTP(response), t, nil
}

// negotiate answers the offers of permessage-deflate; the answer is empty if none
// is accepted. kept is nil if the client keeps no context; it must be closed. A malformed
// field offers nothing: its client can do without the extension.
func (w *windows) negotiate(h *head) (answer string, window wsflate.WindowBits, kept *history) {
	offer := deflateOffer{windows: w}
	var accepted []httphead.Option
	for _, f := range h.fields {
		if !h.is(f, "Sec-WebSocket-Extensions") {
			continue
		}
		offers, ok := httphead.ParseOptions(f.value, nil)
		if !ok {
			continue
		}
		for _, o := range offers {
			if a := offer.negotiate(o); a.Size() > 0 {
				accepted = append(accepted, a)
			}
		}
	}
	if len(accepted) == 0 {
		return "", 0, nil
	}
	var b bytes.Buffer
	// A bytes.Buffer does not fail.
	_, _ = httphead.WriteOptions(&b, accepted)
	return b.String(), offer.window, offer.history
}

// judge finds out who the client is and whether it may connect. refused is nil if it may.
// If the authenticator, application or authorizer panics or ends its goroutine, the client
// is refused.
func (ep *endpoint) judge(v *visitor, h *head, target *url.URL) (user *core.Identity, refused *refusal) {
	if ep.Authenticator == nil && ep.Authorizer == nil && ep.server.options.BeforeUpgrade == nil {
		return nil, nil
	}
	// The time that they take does not count for the client.
	defer func() { _ = v.SetDeadline(time.Now().Add(ep.server.options.HandshakeTimeout)) }()
	refused = &refusal{core.ReasonInternal, http.StatusInternalServerError, "an authenticator or authorizer panicked", nil}
	judged := make(chan struct{})
	// On a goroutine of its own, because foreign code may end it (runtime.Goexit).
	go func() {
		defer close(judged)
		returned := false
		defer func() {
			if fault := recover(); !returned {
				ep.server.stats.Panics.Add(1)
				ep.server.log.Error("judge panicked or ended its goroutine", logging.Bounded(ep.Name, core.ReasonInternal.String()),
					slog.String("remote", v.remote()), slog.String("panic", fmt.Sprint(fault)), slog.String("stack", stack()))
			}
		}()
		user, refused = ep.sentence(v, h, target)
		returned = true
	}()
	<-judged
	return user, refused
}

// sentence asks authenticator, application and authorizer.
func (ep *endpoint) sentence(v *visitor, h *head, target *url.URL) (user *core.Identity, refused *refusal) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	shake := core.Handshake{
		Path: target.Path, Query: target.Query(), Header: h.header(), Remote: v.remote(), TLS: v.secure.state(),
		Info: &v.info,
	}
	if a := ep.Authenticator; a != nil {
		user, verdict, why := a.Authenticate(ctx, shake)
		switch verdict {
		case core.Allow:
			shake.Identity = user
		case core.Unavailable:
			return nil, &refusal{core.ReasonUnavailable, http.StatusServiceUnavailable, "who it is could not be found out", cause(why)}
		default:
			return nil, &refusal{core.ReasonDenied, http.StatusUnauthorized, "it did not show who it is", cause(why)}
		}
	}
	if refused := ep.beforeUpgrade(ctx, shake); refused != nil {
		return nil, refused
	}
	if a := ep.Authorizer; a != nil {
		switch a.AuthorizeConnect(ctx, shake) {
		case core.Allow:
		case core.Unavailable:
			return nil, &refusal{core.ReasonUnavailable, http.StatusForbidden, "the authorizer could not be asked", userOf(shake)}
		default:
			return nil, &refusal{core.ReasonDenied, http.StatusForbidden, "the authorizer does not let it in", userOf(shake)}
		}
	}
	return shake.Identity, nil
}

// subprotocol returns the selected subprotocol of those offered, "" for none; first are those
// in the first field. ok is false if the offer must be refused. A token is never selected. If a
// client sends a token and no other name would be selected, the name that announces the token
// is: browsers give up a connection whose answer has none of their names.
func (ep *endpoint) subprotocol(offered, first []string) (selected string, ok bool) {
	names := ep.settings.Load().TokenProtocols
	open := core.OpenProtocols(offered, names)
	for _, name := range ep.profile.Subprotocols {
		if slices.Contains(open, name) {
			return name, true
		}
	}
	if len(open) == len(offered) {
		// There is no token. The original that selects one looks only at the first field.
		if !ep.profile.Subprotocol || len(first) == 0 {
			return "", true
		}
		return first[0], len(first) == 1
	}
	if ep.profile.Subprotocol {
		others := slices.DeleteFunc(slices.Clone(open), func(p string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(p, name) })
		})
		if len(others) > 0 {
			return others[0], len(others) == 1
		}
	}
	if len(open) == 0 {
		return "", true
	}
	return open[0], true
}

// rejection is the error that makes the upgrader answer with status and an empty body.
func (ep *endpoint) rejection(h *head, status int) error {
	header := http.Header{}
	switch status {
	case http.StatusUnauthorized:
		header["WWW-Authenticate"] = []string{"Bearer"}
		if c, ok := ep.Authenticator.(core.Challenger); ok {
			header["WWW-Authenticate"] = c.Challenges()
		}
	case http.StatusUpgradeRequired:
		header.Set("Upgrade", "websocket")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", "1")
	}
	if ep.profile.CORS && h.count("Origin") > 0 {
		header.Set("Access-Control-Allow-Origin", "*")
	}
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionHeader(ws.HandshakeHeaderHTTP(header)))
}
