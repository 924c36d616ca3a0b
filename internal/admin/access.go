package admin

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/polywire/polywire/core/logging"
)

// hosts admits only requests whose Host names this server. Otherwise a page in a browser nearby
// could point a name of its own here (DNS rebinding), and read the answers.
type hosts struct {
	// Static after construction.
	names []string // besides those of the loopback interface; "*" is any
	next  http.Handler
	log   *slog.Logger
}

func (h *hosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.knows(r) {
		h.log.Info("refusing an admin request whose Host is no name of this server; see admin.hosts", logging.Bounded("", "host"),
			slog.String("host", fmt.Sprintf("%.200s", r.Host)), slog.String("path", fmt.Sprintf("%.200s", r.URL.Path)), slog.String("remote", r.RemoteAddr))
		answer(w, http.StatusForbidden, fmt.Sprintf("%.200q is no name of this server; add it to admin.hosts if it is to be", r.Host))
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

// mayOperate returns the status and the reason with which a request is refused that wants to do what
// is not for everybody; 0 if it is allowed. If a token is set the request must show it; otherwise it
// must come from a program on this machine.
func mayOperate(r *http.Request, token, what string) (status int, why string) {
	switch {
	case fromPage(r):
		return http.StatusForbidden, "web pages may not " + what
	case token != "" && !shows(r, token):
		return http.StatusUnauthorized, "to " + what + " needs admin.reload_token: Authorization: Bearer TOKEN"
	case token == "" && !fromHere(r):
		return http.StatusForbidden, "only programs of the broker's machine may " + what + "; for others set admin.reload_token"
	}
	return 0, ""
}

// mayTap returns the status and the reason with which a tap is refused; 0 if it is allowed. A tap shows
// credentials: it must come from a program on this machine, and show the token too, if one is set.
func mayTap(r *http.Request, token string) (status int, why string) {
	switch {
	case fromPage(r):
		return http.StatusForbidden, "web pages may not tap an endpoint"
	case !fromHere(r):
		return http.StatusForbidden, "only programs of the broker's machine may tap an endpoint: a tap shows the credentials of its clients"
	case token != "" && !shows(r, token):
		return http.StatusUnauthorized, "a tap needs admin.reload_token: Authorization: Bearer TOKEN"
	}
	return 0, ""
}

// fromPage reports whether the request was sent by a web page.
func fromPage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// shows reports whether the request shows a token.
func shows(r *http.Request, token string) bool {
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(strings.TrimSpace(shown)), []byte(token)) == 1
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
