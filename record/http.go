package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
)

// maxHead bounds the head of an HTTP message.
const maxHead = 64 << 10

// asked is an HTTP request that waits for its answer.
type asked struct {
	request *http.Request
	place   *statement // nil for an upgrade, which is written with its answer
	lines   string     // of the request
}

// http takes apart what is said before, or without, an upgrade.
func (r *recorder) http(c *conversation, server bool, data []byte) {
	var err error
	if server {
		c.server = append(c.server, data...)
		err = r.answers(c, false)
	} else {
		c.client = append(c.client, data...)
		err = r.asks(c)
	}
	if err == nil && max(len(c.client), len(c.server)) > r.o.MaxMessage+maxHead {
		err = errors.New("it is too long")
	}
	if err != nil && !c.over {
		r.seen.Broken++
		r.note("%s: what the %s sent is no HTTP message that can be recorded: %v", c.called(), sideName(server), err)
		r.abandon(c)
	}
}

var headEnd = []byte("\r\n\r\n")

// asks parses requests, up to an upgrade.
func (r *recorder) asks(c *conversation) error {
	for c.upgrade == nil && len(c.client) > 0 {
		if !bytes.Contains(c.client, headEnd) {
			if len(c.client) > maxHead || !looksLikeHTTP(c.client) {
				return errors.New("it has no head")
			}
			return nil
		}
		in := bytes.NewReader(c.client)
		reader := bufio.NewReader(in)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(request.Body)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.client = c.client[len(c.client)-in.Len()-reader.Buffered():]
		a := &asked{request: request}
		if strings.EqualFold(request.Header.Get("Upgrade"), "websocket") {
			c.upgrade = request
		} else {
			r.seen.Requests++
			a.lines = r.request(request, body)
			a.place = r.hold("# a request that was not answered: " + strings.ReplaceAll(strings.TrimSuffix(a.lines, "\n"), "\n", "\n# ") + "\n")
		}
		c.requests = append(c.requests, a)
	}
	return nil
}

// looksLikeHTTP reports whether a request may begin like that.
func looksLikeHTTP(b []byte) bool {
	return !bytes.ContainsFunc(b[:min(len(b), 3)], func(c rune) bool { return c < 'A' || c > 'Z' })
}

// answers parses answers. end says that nothing follows.
func (r *recorder) answers(c *conversation, end bool) error {
	for len(c.requests) > 0 && len(c.server) > 0 {
		if !bytes.Contains(c.server, headEnd) {
			if len(c.server) > maxHead {
				return errors.New("it has no head")
			}
			return nil
		}
		a := c.requests[0]
		in := bytes.NewReader(c.server)
		reader := bufio.NewReader(in)
		answer, err := http.ReadResponse(reader, a.request)
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusSwitchingProtocols {
			c.server = c.server[len(c.server)-in.Len()-reader.Buffered():]
			return r.upgraded(c, answer)
		}
		body, err := io.ReadAll(answer.Body)
		if !end && (errors.Is(err, io.ErrUnexpectedEOF) || answer.ContentLength < 0 && len(answer.TransferEncoding) == 0) {
			return nil
		}
		if err != nil {
			return err
		}
		c.server = c.server[len(c.server)-in.Len()-reader.Buffered():]
		if answer.StatusCode < 200 {
			continue
		}
		c.requests = c.requests[1:]
		r.answered(c, a, answer, body)
	}
	return nil
}

// answered completes the statement of a request.
func (r *recorder) answered(c *conversation, a *asked, answer *http.Response, body []byte) {
	if a.place == nil {
		c.upgrade = nil
		r.seen.Connections++
		r.acts(fmt.Sprintf("connect c%d %s => %d\n", r.seen.Connections, r.upgradeOptions(a.request), answer.StatusCode))
		return
	}
	text := fmt.Sprintf("%s  => %d\n", a.lines, answer.StatusCode)
	switch {
	case a.request.Method == http.MethodHead:
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

// upgraded begins a WebSocket.
func (r *recorder) upgraded(c *conversation, answer *http.Response) error {
	a := c.requests[0]
	if a.place != nil || c.upgrade == nil {
		return errors.New("an upgrade that nobody has asked for")
	}
	c.requests = nil
	r.seen.Connections++
	c.name = "c" + strconv.Itoa(r.seen.Connections)
	text := "connect " + c.name + " " + r.upgradeOptions(a.request) + "\n"
	if chosen := answer.Header.Get("Sec-WebSocket-Protocol"); chosen != "" {
		text += "  header Sec-WebSocket-Protocol: " + r.replaced(chosen, escapePattern) + "\n"
	}
	r.acts(text)
	c.clientFrames, c.serverFrames = &frames{max: r.o.MaxMessage}, &frames{max: r.o.MaxMessage, fromServer: true}
	c.clientFrames.inflate, c.serverFrames.inflate = inflaters(answer.Header.Values("Sec-WebSocket-Extensions"), r.o.MaxMessage)
	client, server := c.client, c.server
	c.client, c.server = nil, nil
	if len(client) > 0 {
		r.bytes(c, false, client)
	}
	if len(server) > 0 && !c.over {
		r.bytes(c, true, server)
	}
	return nil
}

// httpEnded records the end of one side before an upgrade.
func (r *recorder) httpEnded(c *conversation, server bool) {
	if server {
		_ = r.answers(c, true) // what is left is not answered
		r.unanswered(c)
	} else if len(c.client) > 0 && c.upgrade == nil {
		r.note("a client ended its connection within an HTTP request, after %d bytes", len(c.client))
	}
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
		r.note("an upgrade that was not answered: %s", r.upgradeOptions(a.request))
	}
	c.requests = nil
	r.release(false)
}

// request writes a request that is no upgrade.
func (r *recorder) request(q *http.Request, body []byte) string {
	var b strings.Builder
	target := r.target(q)
	if strings.ContainsAny(target, " \"") {
		target = strconv.Quote(target)
	}
	fmt.Fprintf(&b, "http %s %s %s\n", q.Method, r.o.Endpoint, target)
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
func (r *recorder) upgradeOptions(q *http.Request) string {
	var b strings.Builder
	b.WriteString(r.o.Endpoint)
	target := r.target(q)
	if q.URL.Path == r.o.Path {
		target = strings.TrimPrefix(target, r.o.Path)
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
func (r *recorder) target(q *http.Request) string {
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
func (r *recorder) fields(q *http.Request) []string {
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
func (r *recorder) field(name, value string) string {
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
func (r *recorder) cookies(value string) string {
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
func (r *recorder) subprotocols(offered []string) string {
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
