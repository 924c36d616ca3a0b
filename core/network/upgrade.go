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

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// upgrade answers an upgrade request and moves the connection into a loop.
func (d *door) upgrade(v *visitor, h *head) {
	s := d.server
	target, err := url.ParseRequestURI(h.target)
	if err != nil {
		d.reject(v, core.ReasonHandshake, http.StatusBadRequest, "malformed request target", quoted("target", h.target))
		return
	}
	ep := d.match(target.Path)
	if ep == nil {
		d.reject(v, core.ReasonHandshake, http.StatusNotFound, "no endpoint at this path", quoted("path", target.Path))
		return
	}
	if r, ok := ep.enter(v.client.Addr()); !ok {
		ep.Stats.Rejected.Inc(r)
		s.logRefusal(ep.Name, v.client.String(), refusal{reason: r, why: whyNot(r)})
		turnAway(v, statusOf(r), whyNot(r))
		lingeringClose(v)
		return
	}
	// Whatever happens from here on, a panic too: a connection that does not open gives its
	// places back.
	var terms terms
	opened := false
	defer func() {
		if !opened {
			s.windows.close(terms.history)
			ep.leave(v.client.Addr(), terms.user)
		}
	}()
	var response bytes.Buffer
	terms, ok := ep.handshake(v, h, target, &response)
	if !ok {
		_, _ = v.Write(response.Bytes())
		lingeringClose(v)
		return
	}
	c := &conn{
		ep: ep, id: s.ids.Add(1),
		remote:  v.client.String(),
		user:    terms.user,
		window:  terms.window,
		history: terms.history,
		trace:   h.trace(),
		secure:  v.secure,
		out:     output{budget: &s.budget},
		upgrade: &upgrade{response: response.Bytes(), early: bytes.Clone(v.read)},
	}
	if ep.remote == nil {
		c.codec = ep.Format.NewCodec()
	}
	_ = v.SetDeadline(time.Time{})
	if c.secure != nil {
		c.secure.leaveSocket()
	}
	// EnrollContext works on a duplicate of the descriptor and closes this one. It says
	// nothing of a poller that refuses the duplicate; but then OnOpen was not called.
	_, err = s.client.EnrollContext(v.tcp, c)
	if opened = c.loop != nil; err == nil && !opened {
		err = errNotEnrolled
	}
	if err != nil {
		ep.Stats.Rejected.Inc(core.ReasonOverload)
		s.log.Error("enrolling connection", "endpoint", ep.Name, "remote", c.remote, "error", err)
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

// terms are what an upgrade has settled.
type terms struct {
	window  wsflate.WindowBits // of permessage-deflate; 0 without
	history *history           // of what the client compresses; nil if it keeps no context
	user    *core.Identity     // counted by enterAs
}

// handshake makes the response to an upgrade request and reports whether the
// connection is a WebSocket with it, and on which terms. It may block, on
// authenticator, application and authorizer.
func (ep *endpoint) handshake(v *visitor, h *head, target *url.URL, response io.Writer) (t terms, ok bool) {
	var refused *refusal
	offer := deflateOffer{windows: &ep.server.windows}
	defer func() {
		if !ok {
			ep.server.windows.close(offer.history)
		}
	}()
	u := ws.Upgrader{
		ReadBufferSize: len(h.raw),
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			var header ws.HandshakeHeader
			if header, t.user, refused = ep.check(v, h, target); refused != nil {
				return nil, ep.rejection(h, refused.status)
			}
			return header, nil
		},
	}
	if ep.profile.Deflate {
		u.Negotiate = offer.negotiate
	}
	_, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(h.raw), response})
	if err != nil {
		if refused == nil {
			refused = &refusal{reason: core.ReasonHandshake, why: err.Error(), values: []slog.Attr{
				quoted("target", h.target), quoted("connection", h.get("Connection")), quoted("version", h.get("Sec-WebSocket-Version")),
			}}
		}
		ep.Stats.Rejected.Inc(refused.reason)
		ep.server.logRefusal(ep.Name, v.client.String(), *refused)
		return t, false
	}
	t.window, t.history = offer.window, offer.history
	return t, true
}

// check is asked when the request is a proper upgrade: origin, subprotocol, who the
// client is, and what application and authorizer say.
func (ep *endpoint) check(v *visitor, h *head, target *url.URL) (ws.HandshakeHeader, *core.Identity, *refusal) {
	if !ep.originAllowed(h) {
		return nil, nil, &refusal{core.ReasonOrigin, http.StatusForbidden, "pages of this origin may not connect", []slog.Attr{
			quoted("origin", h.get("Origin")), quoted("host", h.get("Host")), slog.String("allowed", ep.allowedOrigins()),
		}}
	}
	response := http.Header{}
	offered := h.tokens("Sec-WebSocket-Protocol")
	selected, ok := ep.subprotocol(offered)
	if !ok {
		return nil, nil, &refusal{core.ReasonHandshake, http.StatusBadRequest, "it offers several subprotocols, and must offer one", []slog.Attr{
			quoted("offered", strings.Join(offered, ", ")),
		}}
	}
	if selected != "" {
		response.Set("Sec-WebSocket-Protocol", selected)
	}
	user, refused := ep.judge(v, h, target)
	if refused != nil {
		return nil, nil, refused
	}
	if !ep.enterAs(user) {
		return nil, nil, &refusal{core.ReasonLimit, statusOf(core.ReasonLimit), "too many connections of one user", []slog.Attr{quoted("user", user.User())}}
	}
	return ws.HandshakeHeaderHTTP(response), user, nil
}

// judge asks who the client is and whether it may connect. refused is nil if it may.
// A judge that panics lets nobody in.
func (ep *endpoint) judge(v *visitor, h *head, target *url.URL) (user *core.Identity, refused *refusal) {
	if ep.Authenticator == nil && ep.Authorizer == nil && ep.server.options.BeforeUpgrade == nil {
		return nil, nil
	}
	defer func() {
		if fault := recover(); fault != nil {
			ep.server.stats.Panics.Add(1)
			ep.server.log.Error("judge panicked", logging.Bounded(ep.Name, ""), "remote", v.client.String(), "panic", fmt.Sprint(fault), "stack", stack())
			user, refused = nil, &refusal{core.ReasonInternal, http.StatusInternalServerError, "an authenticator or authorizer panicked", nil}
		}
	}()
	// The judges' time is not the client's.
	defer func() { _ = v.SetDeadline(time.Now().Add(ep.server.options.HandshakeTimeout)) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	shake := core.Handshake{
		Path: target.Path, Query: target.Query(), Header: h.header(), Remote: v.client.String(), TLS: v.secure.state(),
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

// subprotocol returns which of the offered subprotocols is selected, "" for none; ok is
// false if the offer is to be refused.
func (ep *endpoint) subprotocol(offered []string) (selected string, ok bool) {
	for _, name := range ep.profile.Subprotocols {
		if slices.Contains(offered, name) {
			return name, true
		}
	}
	if !ep.profile.Subprotocol || len(offered) == 0 {
		return "", true
	}
	return offered[0], len(offered) == 1
}

// rejection is the error that makes the upgrader answer with status and an empty body.
func (ep *endpoint) rejection(h *head, status int) error {
	header := http.Header{}
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", "1")
	}
	if ep.profile.CORS && h.count("Origin") > 0 {
		header.Set("Access-Control-Allow-Origin", "*")
	}
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionHeader(ws.HandshakeHeaderHTTP(header)))
}
