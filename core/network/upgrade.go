package network

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/polywire/polywire/core"
)

// upgrade answers an upgrade request and moves the connection into a loop.
func (d *door) upgrade(v *visitor, h *head) {
	s := d.server
	target, err := url.ParseRequestURI(h.target)
	if err != nil {
		d.reject(v, core.ReasonHandshake, http.StatusBadRequest, "malformed request target")
		return
	}
	ep := d.match(target.Path)
	if ep == nil {
		d.reject(v, core.ReasonHandshake, http.StatusNotFound, "no endpoint at this path")
		return
	}
	if r, ok := ep.enter(v.client.Addr()); !ok {
		ep.Stats.Rejected.Inc(r)
		turnAway(v, statusOf(r), whyNot(r))
		lingeringClose(v)
		return
	}
	var response bytes.Buffer
	terms, ok := ep.handshake(v, h, target, &response)
	if !ok {
		_, _ = v.Write(response.Bytes())
		ep.leave(v.client.Addr(), terms.user)
		lingeringClose(v)
		return
	}
	c := &conn{
		ep: ep, id: s.ids.Add(1),
		remote:  v.client.String(),
		user:    terms.user,
		window:  terms.window,
		trace:   h.trace(),
		info:    v.keepsake(),
		secure:  v.secure,
		upgrade: &upgrade{response: response.Bytes(), early: bytes.Clone(v.read)},
	}
	if ep.remote == nil {
		c.codec = ep.Format.NewCodec()
	}
	_ = v.SetDeadline(time.Time{})
	if c.secure != nil {
		c.secure.leaveSocket()
	}
	// EnrollContext works on a duplicate of the descriptor and closes this one.
	if _, err := s.client.EnrollContext(v.tcp, c); err != nil {
		ep.leave(v.client.Addr(), c.user)
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
	window wsflate.WindowBits // of permessage-deflate; 0 without
	user   *core.Identity     // counted by enterAs
}

// handshake makes the response to an upgrade request and reports whether the
// connection is a WebSocket with it, and on which terms. It may block, on
// authenticator, application and authorizer.
func (ep *endpoint) handshake(v *visitor, h *head, target *url.URL, response io.Writer) (t terms, ok bool) {
	reason := core.ReasonHandshake
	var offer deflateOffer
	u := ws.Upgrader{
		ReadBufferSize: len(h.raw),
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			header, user, r, err := ep.check(v, h, target)
			reason, t.user = r, user
			return header, err
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
		ep.Stats.Rejected.Inc(reason)
		ep.server.log.Debug("refusing upgrade", "endpoint", ep.Name, "remote", v.client,
			"reason", reason.String(), "error", err)
		return t, false
	}
	t.window = offer.window
	return t, true
}

// check is asked when the request is a proper upgrade: origin, subprotocol, who the
// client is, and what application and authorizer say.
func (ep *endpoint) check(v *visitor, h *head, target *url.URL) (ws.HandshakeHeader, *core.Identity, core.Reason, error) {
	if !ep.originAllowed(h) {
		return nil, nil, core.ReasonOrigin, ep.refusal(h, http.StatusForbidden)
	}
	response := http.Header{}
	selected, ok := ep.subprotocol(h.tokens("Sec-WebSocket-Protocol"))
	if !ok {
		return nil, nil, core.ReasonHandshake, ep.refusal(h, http.StatusBadRequest)
	}
	if selected != "" {
		response.Set("Sec-WebSocket-Protocol", selected)
	}
	user, status, reason := ep.judge(v, h, target)
	if status != 0 {
		return nil, nil, reason, ep.refusal(h, status)
	}
	if !ep.enterAs(user) {
		return nil, nil, core.ReasonLimit, ep.refusal(h, statusOf(core.ReasonLimit))
	}
	return ws.HandshakeHeaderHTTP(response), user, 0, nil
}

// judge asks who the client is and whether it may connect. The status is 0 if it may.
// A judge that panics, or does not return, lets nobody in.
func (ep *endpoint) judge(v *visitor, h *head, target *url.URL) (user *core.Identity, status int, r core.Reason) {
	if ep.Authenticator == nil && ep.Authorizer == nil && ep.server.options.BeforeUpgrade == nil {
		return nil, 0, 0
	}
	// The judges' time is not the client's.
	defer func() { _ = v.SetDeadline(time.Now().Add(ep.server.options.HandshakeTimeout)) }()
	user, status, r = nil, http.StatusInternalServerError, core.ReasonInternal
	judged := make(chan struct{})
	// On a goroutine of its own, because a judge may end it (runtime.Goexit).
	go func() {
		defer close(judged)
		returned := false
		defer func() {
			if fault := recover(); !returned {
				ep.server.stats.Panics.Add(1)
				ep.server.log.Error("judge panicked or ended its goroutine", "endpoint", ep.Name, "remote", v.client, "panic", fault, "stack", stack())
			}
		}()
		user, status, r = ep.sentence(v, h, target)
		returned = true
	}()
	<-judged
	return user, status, r
}

// sentence is what authenticator, application and authorizer say.
func (ep *endpoint) sentence(v *visitor, h *head, target *url.URL) (user *core.Identity, status int, r core.Reason) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	shake := core.Handshake{
		Path: target.Path, Query: target.Query(), Header: h.header(), Remote: v.client.String(), TLS: v.secure.state(),
		Info: &v.info,
	}
	if a := ep.Authenticator; a != nil {
		user, verdict := a.Authenticate(ctx, shake)
		switch verdict {
		case core.Allow:
			shake.Identity = user
		case core.Unavailable:
			return nil, http.StatusServiceUnavailable, core.ReasonUnavailable
		default:
			return nil, http.StatusUnauthorized, core.ReasonDenied
		}
	}
	if reason, refused := ep.beforeUpgrade(ctx, shake); refused {
		return nil, http.StatusForbidden, reason
	}
	if a := ep.Authorizer; a != nil {
		switch a.AuthorizeConnect(ctx, shake) {
		case core.Allow:
		case core.Unavailable:
			return nil, http.StatusForbidden, core.ReasonUnavailable
		default:
			return nil, http.StatusForbidden, core.ReasonDenied
		}
	}
	return shake.Identity, 0, 0
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

// refusal is the error that makes the upgrader answer with status and an empty body.
func (ep *endpoint) refusal(h *head, status int) error {
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
