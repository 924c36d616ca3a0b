package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
)

// firstRead is the size of the first buffer for a head. The buffer grows with what arrives: a
// slow sender takes at most about twice the memory of what it has sent.
const firstRead = 1 << 10

var (
	errHeadTooLarge = errors.New("request head too large")
	errManyFields   = errors.New("too many header fields")
	errBody         = errors.New("an upgrade request must not have a body")
	errLineEnd      = errors.New("malformed line end in the request head")
	errRequestLine  = errors.New("malformed request line")
	errWantsTLS     = errors.New("client speaks TLS to a port without it: ws:// and http:// are right here")
	errWantsProxy   = errors.New("client sends a PROXY header where none is taken: proxy_protocol is off here, or it is no trusted proxy")
)

// readHead reads from r until a request head is complete, or until its first byte, its first
// line or a line end shows that it is not one.
// It returns what was read and where the head ends, after its empty line.
func readHead(r io.Reader, limit int) (buf []byte, end int, err error) {
	buf = make([]byte, 0, min(limit, firstRead))
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= limit {
				return nil, 0, errHeadTooLarge
			}
			buf = append(make([]byte, 0, min(limit, 2*cap(buf))), buf...)
		}
		scanned := max(0, len(buf)-3)
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if fault := badStart(buf, len(buf)-n); fault != nil {
			return nil, 0, fault
		}
		if i := bytes.Index(buf[scanned:], []byte("\r\n\r\n")); i >= 0 {
			return buf, scanned + i + 4, nil
		}
		if badLineEnd(buf, len(buf)-n) {
			return nil, 0, errLineEnd
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// badLineEnd reports whether a line of b that ends at from or later ends without a
// carriage return: such a client ends the head in the same way, and waits for its answer.
func badLineEnd(b []byte, from int) bool {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return false
		}
		if from += i; from == 0 || b[from-1] != '\r' {
			return true
		}
		from++
	}
}

// badStart says why b does not begin a request, judged by its first byte, or by its first
// line once that is complete. The bytes at from and after it are new. A client of another
// protocol often waits for an answer to its first line.
func badStart(b []byte, from int) error {
	if len(b) == 0 {
		return nil
	}
	if !isToken(b[:1]) {
		return noRequest(b)
	}
	from = max(0, from-1)
	end := bytes.Index(b[from:], []byte("\r\n"))
	if end < 0 || bytes.IndexByte(b[:from+end], '\n') >= 0 {
		return nil
	}
	line := b[:from+end]
	if _, _, _, ok := cutRequestLine(line); ok {
		return nil
	}
	return noRequest(line)
}

// proxySignature begins a PROXY header of version 2, proxyWord one of version 1.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyWord      = "PROXY "
)

// noRequest says what begins like b but is not a request.
func noRequest(b []byte) error {
	switch {
	case b[0] == tlsHandshake:
		return errWantsTLS
	case bytes.HasPrefix(b, []byte(proxySignature)), bytes.HasPrefix(b, []byte(proxyWord)):
		return errWantsProxy
	}
	return errRequestLine
}

// tlsHandshake is the first byte of a TLS record that holds a handshake, such as a ClientHello.
const tlsHandshake = 0x16

// head is a request head that passed parseHead. Its slices point into the parsed bytes.
type head struct {
	raw     []byte // as it came
	method  []byte
	target  string // the request target
	minor   byte   // of the version of HTTP/1, as a digit
	major   byte
	upgrade bool // it asks for an upgrade to WebSocket
	body    body
	fields  []field
}

// field is one header field; name as it was sent.
type field struct{ name, value []byte }

// body is the length of a request's body.
type body struct {
	length  int64 // in bytes, if it is not chunked
	chunked bool
}

// parseHead checks a complete request head of at most maxFields fields more strictly than
// the upgrader and net/http do (RFC 9112): it refuses everything that two parsers could read
// differently, so that a second request could hide in it.
func parseHead(raw []byte, maxFields int) (*head, error) {
	line, rest, err := cutLine(raw[:len(raw)-2])
	if err != nil {
		return nil, err
	}
	h := &head{raw: raw, fields: make([]field, 0, min(16, maxFields))}
	if !h.parseRequestLine(line) {
		return nil, errRequestLine
	}
	for len(rest) > 0 {
		if line, rest, err = cutLine(rest); err != nil {
			return nil, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !isToken(name) {
			return nil, errors.New("malformed header field")
		}
		if len(h.fields) == maxFields {
			return nil, errManyFields
		}
		h.fields = append(h.fields, field{name, bytes.Trim(value, " \t")})
	}
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Key"} {
		if h.count(name) > 1 {
			return nil, fmt.Errorf("duplicate %s", name)
		}
	}
	if !isHost(h.get("Host")) {
		return nil, errors.New("malformed Host")
	}
	if err := h.parseLength(); err != nil {
		return nil, err
	}
	h.upgrade = h.hasToken("Upgrade", "websocket")
	if h.upgrade && h.body != (body{}) {
		return nil, errBody
	}
	return h, nil
}

// parseRequestLine reads the request line.
func (h *head) parseRequestLine(line []byte) bool {
	method, target, version, ok := cutRequestLine(line)
	if ok {
		h.method, h.target, h.major, h.minor = method, string(target), version[5], version[7]
	}
	return ok
}

// cutRequestLine cuts METHOD SP TARGET SP HTTP/DIGIT.DIGIT.
func cutRequestLine(line []byte) (method, target, version []byte, ok bool) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ = bytes.Cut(rest, []byte(" "))
	ok = isToken(method) && len(target) > 0 && len(version) == len("HTTP/1.1") &&
		bytes.HasPrefix(version, []byte("HTTP/")) && version[6] == '.' && isDigits(version[5:6]) && isDigits(version[7:])
	return method, target, version, ok
}

// http10 reports whether the request is HTTP/1.0.
func (h *head) http10() bool { return h.major == '1' && h.minor == '0' }

// parseLength determines the length of the body (RFC 9112, section 6).
func (h *head) parseLength() error {
	length, encoding := h.count("Content-Length") > 0, h.count("Transfer-Encoding") > 0
	switch {
	case length && encoding:
		return errors.New("both Content-Length and Transfer-Encoding")
	case encoding && h.http10():
		return errors.New("Transfer-Encoding in HTTP/1.0")
	case encoding && !strings.EqualFold(h.get("Transfer-Encoding"), "chunked"):
		return errors.New("unknown Transfer-Encoding")
	case encoding:
		h.body.chunked = true
	case length:
		digits := h.get("Content-Length")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || !isDigits([]byte(digits)) {
			return errors.New("malformed Content-Length")
		}
		h.body.length = n
	}
	return nil
}

// cutLine cuts the first line off b. Bare line ends and control characters are
// errors.
func cutLine(b []byte) (line, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, errLineEnd
	}
	line, rest = b[:i-1], b[i+1:]
	for _, ch := range line {
		if ch < ' ' && ch != '\t' || ch == 0x7f {
			return nil, nil, errors.New("control character in the request head")
		}
	}
	return line, rest, nil
}

// isToken reports whether b is a token (RFC 9110, section 5.6.2).
func isToken(b []byte) bool {
	for _, ch := range b {
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", ch) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

func isDigits(b []byte) bool {
	for _, ch := range b {
		if ch < '0' || ch > '9' {
			return false
		}
	}
	return len(b) > 0
}

// isHost reports whether s has only characters that a Host field may have; it may be
// empty (RFC 9112, section 3.2).
func isHost(s string) bool {
	for i := range len(s) {
		switch ch := s[i]; {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9':
		case strings.IndexByte("!$%&'()*+,-.:;=[]_~", ch) >= 0:
		default:
			return false
		}
	}
	return true
}

func (h *head) is(f field, name string) bool { return bytes.EqualFold(f.name, []byte(name)) }

// count returns how many fields are called name.
func (h *head) count(name string) int {
	n := 0
	for _, f := range h.fields {
		if h.is(f, name) {
			n++
		}
	}
	return n
}

// get returns the value of the first field called name.
func (h *head) get(name string) string {
	for _, f := range h.fields {
		if h.is(f, name) {
			return string(f.value)
		}
	}
	return ""
}

// tokens returns the members of the list that all fields called name form together.
func (h *head) tokens(name string) (tokens []string) {
	for _, f := range h.fields {
		if h.is(f, name) {
			tokens = append(tokens, members(string(f.value))...)
		}
	}
	return tokens
}

// members returns the members of a list (RFC 9110, section 5.6.1).
func members(list string) (tokens []string) {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.Trim(t, " \t"); t != "" {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// hasToken reports whether token is a member of the list that all fields called name
// form together.
func (h *head) hasToken(name, token string) bool {
	for _, f := range h.fields {
		if !h.is(f, name) {
			continue
		}
		for t := range bytes.SplitSeq(f.value, []byte(",")) {
			if bytes.EqualFold(bytes.Trim(t, " \t"), []byte(token)) {
				return true
			}
		}
	}
	return false
}

// host returns the host that the request is for. If target is a whole URL, it names the host
// (RFC 9112, section 3.2.2).
func (h *head) host(target *url.URL) string {
	if target.Host != "" {
		return target.Host
	}
	return h.get("Host")
}

// trace returns the trace context of the request, nil if it has none.
func (h *head) trace() *core.Trace {
	if h.count("traceparent") != 1 {
		return nil
	}
	t := core.ParseTrace(h.get("traceparent"), strings.Join(h.tokens("tracestate"), ","))
	if t == (core.Trace{}) {
		return nil
	}
	return &t
}

// header returns the fields as net/http has them: canonical names, without Host.
func (h *head) header() http.Header {
	header := make(http.Header, len(h.fields))
	for _, f := range h.fields {
		if name := textproto.CanonicalMIMEHeaderKey(string(f.name)); name != "Host" {
			header[name] = append(header[name], string(f.value))
		}
	}
	return header
}
