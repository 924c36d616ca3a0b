package network

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gobwas/httphead"
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
	shake := newHandshake(h)
	terms, ok := ep.handshake(v, h, target, shake)
	if !ok {
		_, _ = v.Write(shake.Bytes())
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
		secure:  v.secure,
		upgrade: &upgrade{response: shake.Bytes(), early: bytes.Clone(v.read)},
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

// handshake is what the upgrader reads, the request as the head's parser has understood
// it, and the response that it writes. The upgrader judges each field alone, so it is not
// given those that were sent.
type handshake struct {
	request []byte // what is not read yet
	room    [192]byte
	bytes.Buffer
}

func newHandshake(h *head) *handshake {
	s := new(handshake)
	b := append(s.room[:0], "X"...)
	if string(h.method) == http.MethodGet {
		b = append(b[:0], http.MethodGet...)
	}
	// Whether HTTP/1.0 will do is the format's affair.
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

// handshake makes the response to an upgrade request and reports whether the
// connection is a WebSocket with it, and on which terms. It may block, on
// authenticator, application and authorizer.
func (ep *endpoint) handshake(v *visitor, h *head, target *url.URL, s *handshake) (t terms, ok bool) {
	reason := core.ReasonHandshake
	u := ws.Upgrader{
		ReadBufferSize: 256, // the request fits
		OnBeforeUpgrade: func() (header ws.HandshakeHeader, err error) {
			header, t, reason, err = ep.check(v, h, target)
			return header, err
		},
	}
	if _, err := u.Upgrade(s); err != nil {
		ep.Stats.Rejected.Inc(reason)
		ep.server.log.Debug("refusing upgrade", "endpoint", ep.Name, "remote", v.client,
			"reason", reason.String(), "error", err)
		return t, false
	}
	return t, true
}

// check is asked when the request is a proper upgrade: origin, subprotocol, who the
// client is, and what application and authorizer say.
func (ep *endpoint) check(v *visitor, h *head, target *url.URL) (ws.HandshakeHeader, terms, core.Reason, error) {
	var t terms
	if h.http10() && ep.profile.HTTP11 {
		return nil, t, core.ReasonHandshake, ep.refusal(h, http.StatusUpgradeRequired)
	}
	if !ep.originAllowed(h) {
		return nil, t, core.ReasonOrigin, ep.refusal(h, http.StatusForbidden)
	}
	selected, ok := ep.subprotocol(h.tokens("Sec-WebSocket-Protocol"))
	if !ok {
		return nil, t, core.ReasonHandshake, ep.refusal(h, http.StatusBadRequest)
	}
	user, status, reason := ep.judge(v, h, target)
	if status != 0 {
		return nil, t, reason, ep.refusal(h, status)
	}
	if !ep.enterAs(user) {
		return nil, t, core.ReasonLimit, ep.refusal(h, statusOf(core.ReasonLimit))
	}
	t.user = user
	// Some clients compare names by case: they are spelled as the standard does, not as
	// http.Header would.
	response := http.Header{}
	if selected != "" {
		response["Sec-WebSocket-Protocol"] = []string{selected}
	}
	if ep.profile.Deflate {
		var answer string
		if answer, t.window = negotiateDeflate(h); answer != "" {
			response["Sec-WebSocket-Extensions"] = []string{answer}
		}
	}
	return ws.HandshakeHeaderHTTP(response), t, 0, nil
}

// negotiateDeflate answers the offers of permessage-deflate; the answer is empty if none
// is accepted. A field that is no list of extensions offers nothing: whoever sends it can
// do without.
func negotiateDeflate(h *head) (answer string, window wsflate.WindowBits) {
	var offer deflateOffer
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
			if a, err := offer.negotiate(o); err == nil && a.Size() > 0 {
				accepted = append(accepted, a)
			}
		}
	}
	if len(accepted) == 0 {
		return "", 0
	}
	var b bytes.Buffer
	// A bytes.Buffer takes everything.
	_, _ = httphead.WriteOptions(&b, accepted)
	return b.String(), offer.window
}

// judge asks who the client is and whether it may connect. The status is 0 if it may.
// A judge that panics lets nobody in.
func (ep *endpoint) judge(v *visitor, h *head, target *url.URL) (user *core.Identity, status int, r core.Reason) {
	if ep.Authenticator == nil && ep.Authorizer == nil && ep.server.options.BeforeUpgrade == nil {
		return nil, 0, 0
	}
	defer func() {
		if fault := recover(); fault != nil {
			ep.server.stats.Panics.Add(1)
			ep.server.log.Error("judge panicked", "endpoint", ep.Name, "remote", v.client, "panic", fault, "stack", stack())
			user, status, r = nil, http.StatusInternalServerError, core.ReasonInternal
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
		header["WWW-Authenticate"] = []string{"Bearer"}
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
