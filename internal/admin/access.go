package admin

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core/logging"
)

// hosts admits only requests whose Host names this server. Otherwise a page in a browser nearby
// could point a name of its own here (DNS rebinding), and read the answers.
type hosts struct {
	// Static after construction.
	names []string // besides those of the loopback interface; "*" is any
	next  http.Handler
	guard *guard
}

func (h *hosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.knows(r) {
		list := h.guard.name + ".hosts"
		h.guard.refused.counts[refusedHost].Add(1)
		h.guard.log.Info("refusing an admin request whose Host is no name of this server", logging.Bounded("", "host"), slog.String("see", list),
			slog.String("host", fmt.Sprintf("%.200s", r.Host)), slog.String("path", fmt.Sprintf("%.200s", r.URL.Path)), slog.String("remote", r.RemoteAddr))
		answer(w, http.StatusForbidden, fmt.Sprintf("%.200q is no name of this server; add it to %s if it is to be", r.Host, list))
		return
	}
	h.next.ServeHTTP(w, r)
}

// knows reports whether a request asks for this server. A request without Host is not from a
// browser. Nobody can point an IP address here; but at a loopback address only the names and
// addresses of the loopback interface, and configured ones, count.
func (h *hosts) knows(r *http.Request) bool {
	local, tcp := localAddr(r)
	if !tcp || r.Host == "" {
		return true
	}
	name := hostOf(r.Host)
	if a, err := netip.ParseAddr(name); err == nil {
		return a.Unmap().IsLoopback() || !local.IsLoopback() || h.configured(name)
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || h.configured(name)
}

func (h *hosts) configured(name string) bool {
	return slices.ContainsFunc(h.names, func(one string) bool { return one == "*" || strings.EqualFold(one, name) })
}

// hostOf returns the name or address in a Host field, in lower case, without port, brackets and
// trailing dot.
func hostOf(field string) string {
	name, _, err := net.SplitHostPort(field)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(field, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// localAddr returns the address at which the request arrived; false for a Unix socket.
func localAddr(r *http.Request) (netip.Addr, bool) {
	tcp, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return tcp.AddrPort().Addr().Unmap(), true
}

// forwarded are the header fields that show that a proxy asks for somebody else.
var forwarded = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}

// refusal is why a request is refused by who sends it, or how.
type refusal struct {
	status     int
	reason     refusedFor
	why        string
	cause      error         // for the log; nil without
	challenges []string      // with 401
	wait       time.Duration // with 429
}

// guard decides who may do what at one server. Any goroutine.
type guard struct {
	// Static after construction.
	name    string // of the server in the configuration: admin or api
	access  func() *Access
	guesses *guesses
	refused *Refusals
	page    *ownPage // nil at a server that has none
	log     *slog.Logger
}

// admit returns who asks, or why it is refused. need are the roles of which the sender must have one, and what is
// what it wants to do.
func (g *guard) admit(r *http.Request, need Role, what string) (caller, *refusal) {
	c, e := g.judge(r, need, what)
	if e != nil {
		g.turnAway(r, c, what, e)
	}
	return c, e
}

// judge is admit without what is written about it.
func (g *guard) judge(r *http.Request, need Role, what string) (caller, *refusal) {
	if g.fromOther(r) {
		return caller{}, &refusal{status: http.StatusForbidden, reason: refusedPage, why: "web pages may not " + what}
	}
	if likeForm(r) {
		return caller{}, &refusal{
			status: http.StatusForbidden, reason: refusedPage,
			why: "web pages may not " + what + ", and this could be sent by one; a program says so with the header X-Polywire: 1",
		}
	}
	return g.entitle(r, g.access(), need, what)
}

// admitTap is admit for who reads along. That shows credentials: unless the configuration says who may operate, the
// sender must be a program on this machine, and on another one it must be told over TLS.
func (g *guard) admitTap(r *http.Request) (c caller, e *refusal) {
	const what = "tap an endpoint"
	a := g.access()
	switch here := fromHere(r); {
	case g.fromOther(r):
		e = &refusal{status: http.StatusForbidden, reason: refusedPage, why: "web pages may not tap an endpoint"}
	case !here && !a.named():
		e = &refusal{status: http.StatusForbidden, reason: refusedElsewhere, why: "only programs of the broker's machine may tap an endpoint: a tap shows the credentials of its clients"}
	case !here && r.TLS == nil:
		e = &refusal{status: http.StatusForbidden, reason: refusedElsewhere, why: "a tap shows the credentials of its clients: from another machine it needs TLS"}
	default:
		c, e = g.entitle(r, a, Operate, what)
	}
	if e != nil {
		g.turnAway(r, c, what, e)
	}
	return c, e
}

// admitScrape is admit for the metrics, which are for everybody unless the configuration says who may read.
func (g *guard) admitScrape(r *http.Request) *refusal {
	const what = "read the metrics"
	a := g.access()
	if !a.named() {
		return nil
	}
	c, e := g.entitle(r, a, Read, what)
	if e != nil {
		g.turnAway(r, c, what, e)
	}
	return e
}

// entitle finds out who asks, and whether that is somebody with the role.
func (g *guard) entitle(r *http.Request, a *Access, need Role, what string) (caller, *refusal) {
	if a.open() {
		if !fromHere(r) {
			return caller{}, &refusal{
				status: http.StatusForbidden, reason: refusedElsewhere,
				why: "only programs of the broker's machine may " + what + "; for others set " + g.name + ".tokens or " + g.name + ".auth",
			}
		}
		return caller{who: "this machine", role: Operate}, nil
	}
	if wait := g.guesses.wait(r); wait > 0 {
		return caller{}, &refusal{
			status: http.StatusTooManyRequests, reason: refusedRate, wait: wait,
			why: "this address has shown too many wrong credentials; try again later",
		}
	}
	c, e := a.identify(r)
	switch {
	case e != nil && e.reason == refusedWrong:
		g.guesses.wrong(r)
		fallthrough
	case e != nil && e.status == http.StatusUnauthorized:
		source := g.name + ".tokens or " + g.name + ".auth"
		if !a.named() {
			source = g.name + ".reload_token"
		}
		e.why = "to " + what + " needs a credential of " + source + ": Authorization: Bearer TOKEN"
	case e == nil && !c.role.may(need):
		e = &refusal{
			status: http.StatusForbidden, reason: refusedRole,
			why: fmt.Sprintf("%.100q may not %s: the role is %s, and must be %s; see %s.allow and %s.tokens", c.who, what, c.role, (need | Operate).or(), g.name, g.name),
		}
	}
	return c, e
}

// turnAway counts a refusal, and writes a line about it.
func (g *guard) turnAway(r *http.Request, c caller, what string, e *refusal) {
	g.refused.counts[e.reason].Add(1)
	attrs := []slog.Attr{
		logging.Bounded("", e.reason.String()), logging.Quoted("who", c.name()), slog.String("remote", r.RemoteAddr), slog.String("role", c.role.String()),
		slog.String("action", what), logging.Quoted("object", r.URL.Path), slog.String("outcome", "refused"),
	}
	if e.cause != nil {
		attrs = append(attrs, slog.String("why", fmt.Sprintf("%.300s", e.cause)))
	}
	g.log.LogAttrs(context.Background(), slog.LevelInfo, event, attrs...)
}

// head writes the header fields that belong to a refusal.
func (e *refusal) head(w http.ResponseWriter) {
	for _, one := range e.challenges {
		w.Header().Add("WWW-Authenticate", one)
	}
	if e.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.wait.Seconds()))))
	}
}

// fromOther reports whether the request was sent by a web page that is not this server's own.
func (g *guard) fromOther(r *http.Request) bool { return fromPage(r) && !g.page.asks(r) }

// fromPage reports whether the request was sent by a web page, as browsers say.
func fromPage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// likeForm reports whether the request changes something and may come from a web page in a browser that does not say
// so: a browser sends such a request for the page of any site without asking the server first. A program shows a
// token, or says with X-Polywire or with the type of the body that it is none, or it has no browser's words.
func likeForm(r *http.Request) bool {
	switch {
	case r.Method != http.MethodPost, r.Header.Get("X-Polywire") != "", bearer(r) != "":
		return false
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil &&
		kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data" && kind != "text/plain" {
		return false
	}
	return strings.HasPrefix(r.UserAgent(), "Mozilla/") ||
		slices.ContainsFunc([]string{"Accept-Language", "Cookie", "Referer"}, func(name string) bool { return r.Header.Get(name) != "" })
}

// fromHere reports whether the request was sent on this machine, and not for somebody else.
func fromHere(r *http.Request) bool {
	if slices.ContainsFunc(forwarded, func(name string) bool { return r.Header.Get(name) != "" }) {
		return false
	}
	local, tcp := localAddr(r)
	if !tcp {
		return true
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	from := remote.Addr().Unmap().WithZone("")
	return err == nil && (from.IsLoopback() || from == local.WithZone(""))
}
