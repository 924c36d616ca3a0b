package record

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/relay"
)

// asked is an HTTP request that waits for its answer.
type asked struct {
	exchange *relay.Exchange
	place    *statement // nil for an upgrade, which is written with its answer
	lines    string     // of the request
}

// Asked writes a request; an upgrade is written with its answer.
func (h *heard) Asked(e *relay.Exchange) {
	r, c := h.r, h.c
	if c.over || r.over {
		return
	}
	a := &asked{exchange: e}
	if !e.Upgrade {
		r.seen.Requests++
		a.lines = r.request(e.Request, e.Body)
		a.place = r.hold("# a request that was not answered: " + strings.ReplaceAll(strings.TrimSuffix(a.lines, "\n"), "\n", "\n# ") + "\n")
	}
	c.requests = append(c.requests, a)
}

// Answered writes an answer: requests are answered in their order.
func (h *heard) Answered(_ *relay.Exchange, answer *http.Response, body []byte) {
	if h.c.over || h.r.over || len(h.c.requests) == 0 {
		return
	}
	a := h.c.requests[0]
	h.c.requests = h.c.requests[1:]
	h.r.answered(a, answer, body)
}

// answered completes the statement of a request.
func (r *recorder) answered(a *asked, answer *http.Response, body []byte) {
	if a.place == nil {
		r.seen.Connections++
		r.acts(fmt.Sprintf("connect c%d %s => %d\n", r.seen.Connections, r.upgradeOptions(a.exchange.Request), answer.StatusCode))
		return
	}
	text := fmt.Sprintf("%s  => %d\n", a.lines, answer.StatusCode)
	switch {
	case a.exchange.Request.Method == http.MethodHead:
	case len(body) == 0:
		text += "  no body\n"
	default:
		content := r.contentOf(true, body, core.Dissection{})
		pattern := content.plain(escapePattern)
		if content.json {
			pattern = content.plain(escapeJSON)
		}
		if fits(pattern) && (content.json || !strings.ContainsRune(`{["`, rune(pattern[0]))) {
			text += "  body " + pattern + "\n"
		}
	}
	if a.place.complete { // it was too late
		return
	}
	a.place.text, a.place.complete = text, true
	r.heldBytes += len(text)
	r.release(false)
	r.write("") // the limits
}

// Upgraded begins the recording of a WebSocket.
func (h *heard) Upgraded(e *relay.Exchange, answer *http.Response) {
	r, c := h.r, h.c
	if c.over || r.over {
		return
	}
	c.requests = nil
	r.seen.Connections++
	c.name = "c" + strconv.Itoa(r.seen.Connections)
	text := "connect " + c.name + " " + r.upgradeOptions(e.Request) + "\n"
	if chosen := answer.Header.Get("Sec-WebSocket-Protocol"); chosen != "" {
		text += "  header Sec-WebSocket-Protocol: " + r.replaced(chosen, escapePattern) + "\n"
	}
	r.acts(text)
}

// unanswered completes the requests that get no answer any more.
func (r *recorder) unanswered(c *conversation) {
	for _, a := range c.requests {
		if a.place != nil {
			if !a.place.complete {
				a.place.complete = true
				r.heldBytes += len(a.place.text)
			}
			continue
		}
		r.note("an upgrade that was not answered: %s", r.upgradeOptions(a.exchange.Request))
	}
	c.requests = nil
	r.release(false)
}

// request writes a request that is no upgrade.
func (r *scribe) request(q *http.Request, body []byte) string {
	var b strings.Builder
	target := r.target(q)
	if strings.ContainsAny(target, " \"") {
		target = strconv.Quote(target)
	}
	fmt.Fprintf(&b, "http %s %s %s\n", q.Method, r.endpoint, target)
	for _, line := range r.fields(q) {
		b.WriteString("  header " + line + "\n")
	}
	if len(body) == 0 {
		return b.String()
	}
	content := r.contentOf(false, body, core.Dissection{})
	text := content.plain(escape)
	if content.json {
		text = content.plain(escapeJSON)
	}
	if fits(text) {
		b.WriteString("  body " + text + "\n")
	} else {
		fmt.Fprintf(&b, "  # a body of %d bytes that a script cannot hold\n", len(body))
	}
	return b.String()
}

// upgradeOptions writes what follows the name in a connect statement.
func (r *scribe) upgradeOptions(q *http.Request) string {
	var b strings.Builder
	b.WriteString(r.endpoint)
	target := r.target(q)
	if q.URL.Path == r.path {
		target = strings.TrimPrefix(target, r.path)
	}
	if target != "" {
		b.WriteString(" path=" + strconv.Quote(target))
	}
	for _, line := range r.fields(q) {
		b.WriteString(" header " + strconv.Quote(line))
	}
	for _, offered := range q.Header.Values("Sec-WebSocket-Protocol") {
		b.WriteString(" header " + strconv.Quote("Sec-WebSocket-Protocol: "+r.subprotocols(strings.Split(offered, ","))))
	}
	return b.String()
}

// target writes the path and the query of a request.
func (r *scribe) target(q *http.Request) string {
	path, query, has := strings.Cut(q.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		path = q.URL.EscapedPath()
	}
	out := r.replaced(path, escape)
	if !has {
		return out
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, raw, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(raw)
		if err != nil {
			value = raw
		}
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		known, isKnown := r.values.known[value]
		switch {
		case value == "":
			pairs[i] = escape(pair)
		case isKnown:
			pairs[i] = escape(name) + "=${query " + known.name + "}"
		case parameterCredential(plain) || hasSecret(value) || opaque(value):
			pairs[i] = escape(name) + "=${query " + r.values.given(value, plain).name + "}"
		default:
			pairs[i] = r.replaced(pair, escape)
		}
	}
	return out + "?" + strings.Join(pairs, "&")
}

// usual are the headers that say nothing about the conversation.
var usual = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length", "Dnt", "Expect", "Forwarded",
	"Host", "Keep-Alive", "Origin", "Pragma", "Priority", "Te", "Traceparent", "Tracestate", "Transfer-Encoding", "Upgrade", "User-Agent", "Via",
}

// fields writes the headers of a request that matter, in order, with variables for credentials.
func (r *scribe) fields(q *http.Request) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(q.Header)) {
		if slices.Contains(usual, name) || strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "X-Forwarded-") {
			continue
		}
		for _, value := range q.Header[name] {
			lines = append(lines, name+": "+r.field(name, value))
		}
	}
	// That of the server's own pages would be a foreign one at another server.
	if origin := q.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != q.Host {
			lines = append(lines, "Origin: "+r.replaced(origin, escape))
		}
	}
	return lines
}

// field writes the value of a header.
func (r *scribe) field(name, value string) string {
	switch name {
	case "Content-Type":
		return r.replaced(value, escape)
	case "Authorization", "Proxy-Authorization":
		scheme, rest, ok := strings.Cut(value, " ")
		if ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Basic")) {
			return scheme + " ${text " + r.values.given(strings.TrimSpace(rest), name).name + "}"
		}
	case "Cookie":
		return r.cookies(value)
	}
	if known, ok := r.values.known[value]; ok && value != "" {
		return "${text " + known.name + "}"
	}
	if value != "" && (credential(name) || strings.Contains(strings.ToLower(name), "key") || opaque(value) || hasSecret(value)) {
		return "${" + r.values.given(value, name).name + "}"
	}
	return r.replaced(value, escape)
}

// cookies writes the value of the header Cookie.
func (r *scribe) cookies(value string) string {
	pairs := strings.Split(value, ";")
	for i, pair := range pairs {
		name, v, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if pairs[i] = escape(name) + "="; v != "" {
			pairs[i] += "${text " + r.values.given(v, "cookie_"+name).name + "}"
		}
	}
	return strings.Join(pairs, "; ")
}

// subprotocols writes the offered subprotocols, with variables for those that may be tokens.
func (r *scribe) subprotocols(offered []string) string {
	const short = 12
	for i, p := range offered {
		p = strings.TrimSpace(p)
		plain := plainProtocol.MatchString(p) && (i == 0 || len(p) <= short && !announces(offered[i-1]))
		if known, ok := r.values.known[p]; ok {
			offered[i] = "${text " + known.name + "}"
		} else if plain {
			offered[i] = escape(p)
		} else {
			offered[i] = "${" + r.values.given(p, "subprotocol").name + "}"
		}
	}
	return strings.Join(offered, ", ")
}
