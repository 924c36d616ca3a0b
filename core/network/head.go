package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/polywire/polywire/core"
)

// maxFields bounds the header fields of a request.
const maxFields = 100

var (
	errHeadTooLarge = errors.New("request head too large")
	errBody         = errors.New("an upgrade request must not have a body")
)

// readHead reads from r until a request head is complete. It returns what was read
// and where the head ends, after its empty line.
func readHead(r io.Reader, limit int) (buf []byte, end int, err error) {
	buf = make([]byte, 0, min(limit, 2<<10))
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
		if i := bytes.Index(buf[scanned:], []byte("\r\n\r\n")); i >= 0 {
			return buf, scanned + i + 4, nil
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// head is a request head that passed parseHead.
type head struct {
	raw     []byte // the head as it was sent
	target  string // the request target
	upgrade bool   // it asks for an upgrade to WebSocket
	fields  []field
}

// field is one header field; name as it was sent.
type field struct{ name, value []byte }

// parseHead checks a complete request head more strictly than the upgrader and
// net/http do (RFC 9112): what two parsers could read differently is refused.
func parseHead(raw []byte) (*head, error) {
	lines := raw[:len(raw)-2]
	line, rest, err := cutLine(lines)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(string(line), " ")
	if len(parts) != 3 || !isToken([]byte(parts[0])) || parts[1] == "" || !strings.HasPrefix(parts[2], "HTTP/") {
		return nil, errors.New("malformed request line")
	}
	h := &head{raw: raw, target: parts[1]}
	for len(rest) > 0 {
		if line, rest, err = cutLine(rest); err != nil {
			return nil, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !isToken(name) {
			return nil, errors.New("malformed header field")
		}
		if len(h.fields) == maxFields {
			return nil, errors.New("too many header fields")
		}
		h.fields = append(h.fields, field{name, bytes.Trim(value, " \t")})
	}
	h.upgrade = h.hasToken("Upgrade", "websocket")
	for _, name := range []string{"Host", "Content-Length", "Sec-WebSocket-Key", "Sec-WebSocket-Version"} {
		if h.count(name) > 1 {
			return nil, fmt.Errorf("duplicate %s", name)
		}
	}
	if h.upgrade && h.count("Content-Length")+h.count("Transfer-Encoding") > 0 {
		return nil, errBody
	}
	return h, nil
}

// cutLine cuts the first line off b. Bare line ends and control characters are
// errors.
func cutLine(b []byte) (line, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, errors.New("malformed line end in the request head")
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

func (h *head) is(f field, name string) bool { return strings.EqualFold(string(f.name), name) }

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

// tokens returns the members of the list that all fields called name make.
func (h *head) tokens(name string) []string {
	var tokens []string
	for _, f := range h.fields {
		if !h.is(f, name) {
			continue
		}
		for t := range strings.SplitSeq(string(f.value), ",") {
			if t = strings.Trim(t, " \t"); t != "" {
				tokens = append(tokens, t)
			}
		}
	}
	return tokens
}

func (h *head) hasToken(name, token string) bool {
	for _, t := range h.tokens(name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
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
