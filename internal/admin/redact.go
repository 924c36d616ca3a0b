package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/polywire/polywire/core"
)

// Redact are the rules by which taps leave something out, besides credentials in the heads of requests. Names count
// without regard to case.
type Redact struct {
	// Keys are members of JSON objects whose values are replaced, wherever they are in a message.
	Keys []string
	// Headers are fields of requests and answers, and headers of messages, whose values are replaced.
	Headers []string
	// Topics are whole topics, or patterns of them, of which no content is shown.
	Topics []string
}

func (r Redact) with(other Redact) Redact {
	return Redact{slices.Concat(r.Keys, other.Keys), slices.Concat(r.Headers, other.Headers), slices.Concat(r.Topics, other.Topics)}
}

// redacted stands for what is left out, and quoted is the same in JSON.
const (
	redacted = "[redacted]"
	quoted   = `"` + redacted + `"`
)

// redactor applies rules to the events of a tap, on the goroutine of its reader. What it cannot look into it hides.
type redactor struct {
	credentials bool // those of requests are shown
	headers     map[string]bool
	names       map[string]bool // the keys, and the headers, which are keys in some formats
	topics      []string
}

func newRedactor(rules Redact, credentials bool) *redactor {
	r := &redactor{credentials: credentials, headers: map[string]bool{}, names: map[string]bool{}, topics: rules.Topics}
	for _, name := range rules.Headers {
		r.headers[strings.ToLower(name)], r.names[strings.ToLower(name)] = true, true
	}
	for _, name := range rules.Keys {
		r.names[strings.ToLower(name)] = true
	}
	return r
}

// apply leaves out what the rules say.
func (r *redactor) apply(ev *core.TapEvent) {
	before := ev.Data
	switch ev.Kind {
	case core.TapRequest, core.TapResponse:
		ev.Data = r.exchange(ev.Data)
	case core.TapText, core.TapBinary, core.TapPublished:
		if ev.Data = r.content(ev.Data, 0); r.hides(ev) {
			ev.Data = nil
		}
	case core.TapFault, core.TapUnwritable:
		ev.Data = r.content(ev.Data, 0)
	case core.TapClose:
		if len(ev.Data) > 2 {
			ev.Data = append(slices.Clip(ev.Data[:2]), r.content(ev.Data[2:], 0)...)
		}
	}
	ev.Redacted = !bytes.Equal(before, ev.Data)
	if m := ev.Message; m != nil && len(m.Headers) > 0 {
		if h := r.content(m.Headers, 0); r.hides(ev) {
			m.Headers, ev.Redacted = nil, true
		} else if !bytes.Equal(h, m.Headers) {
			m.Headers, ev.Redacted = h, true
		}
	}
}

// hides reports whether the content of a message is on a topic that is not shown. A frame of an endpoint or a
// connection does not say in words of the broker what it is about: with such rules none is shown.
func (r *redactor) hides(ev *core.TapEvent) bool {
	if len(r.topics) == 0 {
		return false
	}
	if ev.Message == nil {
		return true
	}
	return slices.ContainsFunc(r.topics, func(pattern string) bool { return core.MatchPattern(pattern, []byte(ev.Message.Topic)) })
}

// exchange redacts an HTTP request or answer.
func (r *redactor) exchange(message []byte) []byte {
	head, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	if !r.credentials {
		lines[0] = withoutCredentials(lines[0])
	}
	for i, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !found && line != "": // a folded line of who knows which field
			lines[i+1] = redacted
		case r.headers[name], !r.credentials && isCredential(name):
			lines[i+1] = line[:strings.IndexByte(line, ':')] + ": " + redacted
		case !r.credentials && name == "sec-websocket-protocol":
			lines[i+1] = line[:strings.IndexByte(line, ':')] + ": " + openProtocols(value)
		case !r.credentials:
			lines[i+1] = withoutCredentials(line)
		}
	}
	out := []byte(strings.Join(lines, "\r\n"))
	if len(head) == len(message) {
		return out
	}
	out = append(out, "\r\n\r\n"...)
	if len(r.topics) > 0 {
		return out
	}
	return append(out, r.content(body, 0)...)
}

// isCredential reports whether a header, or a parameter of a query, lets one in by its name, which is in lower case.
func isCredential(name string) bool {
	switch name {
	case "sec-websocket-key", "sec-websocket-accept", "sec-websocket-protocol", "access-control-allow-credentials":
		return false
	case strings.ToLower(core.BridgeHeader), "code", "sid", "ticket", "sig", "signature", "pwd", "pass", "pw", "pin", "otp":
		return true
	}
	for _, part := range []string{"auth", "cookie", "token", "key", "secret", "passw", "session", "credential", "jwt"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// withoutCredentials replaces the values of such parameters in a line with a URL.
func withoutCredentials(line string) string {
	before, query, found := strings.Cut(line, "?")
	if !found {
		return line
	}
	query, rest := query, ""
	if end := strings.IndexAny(query, " #\""); end >= 0 {
		query, rest = query[:end], query[end:]
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if isCredential(strings.ToLower(unescaped(name))) && value != "" {
			pairs[i] = name + "=" + redacted
		}
	}
	return before + "?" + strings.Join(pairs, "&") + rest
}

func unescaped(name string) string {
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// longestProtocol is how long a name of a subprotocol may be that is surely no token.
const longestProtocol = 24

// openProtocols returns offered subprotocols without those that are or could be tokens: some clients send them there.
func openProtocols(value string) string {
	offered := strings.Split(value, ",")
	announced := false
	for i, p := range offered {
		p = strings.TrimSpace(p)
		name := strings.ToLower(p)
		if announced || len(p) > longestProtocol || strings.HasPrefix(name, "base64url.") {
			p = redacted
		}
		announced = name == "bearer" || isCredential(name)
		offered[i] = p
	}
	return strings.Join(offered, ", ")
}

// The bounds of what is looked into: a message that goes beyond them is hidden.
const (
	redactDepth = 4  // JSON in strings of JSON
	redactTries = 64 // places in other text that look like JSON and are not
)

// content redacts a message: JSON, or text or bytes with JSON in it. It is hidden as a whole if something of the names
// is left where it cannot be told what it is.
func (r *redactor) content(data []byte, depth int) []byte {
	if len(r.names) == 0 || len(data) == 0 || !r.mayName(data) && !maybeBase64(data) {
		return data
	}
	if depth > redactDepth {
		return []byte(redacted)
	}
	if json.Valid(data) {
		return r.json(data, depth)
	}
	var out []byte
	done, tries := 0, 0
	plain := func(part []byte) bool {
		out = append(out, part...)
		return !r.mayName(part)
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '{' && data[i] != '[' {
			continue
		}
		n := jsonLength(data[i:])
		if n == 0 {
			if tries++; tries > redactTries {
				return []byte(redacted)
			}
			continue
		}
		if !plain(data[done:i]) {
			return []byte(redacted)
		}
		out = append(out, r.json(data[i:i+n], depth)...)
		done, i = i+n, i+n-1
	}
	if !plain(data[done:]) {
		return []byte(redacted)
	}
	return out
}

// jsonLength returns how long the JSON value is with which data begins; 0 if it does not begin with one.
func jsonLength(data []byte) int {
	d := json.NewDecoder(bytes.NewReader(data))
	var value json.RawMessage
	if d.Decode(&value) != nil {
		return 0
	}
	return int(d.InputOffset())
}

// mayName reports whether one of the names may be in data, however it is written.
func (r *redactor) mayName(data []byte) bool {
	if bytes.Contains(data, []byte(`\u`)) || bytes.Contains(data, []byte(`\/`)) {
		return true
	}
	// Text in UTF-16 has the same letters with zeros between them.
	lower := bytes.ToLower(bytes.ReplaceAll(data, []byte{0}, nil))
	for name := range r.names {
		if bytes.Contains(lower, []byte(name)) || strings.ContainsAny(name, `"\`) {
			return true
		}
	}
	return false
}

// maybeBase64 reports whether there may be something in base64 that is long enough to hold a name.
func maybeBase64(data []byte) bool {
	run := 0
	for _, b := range data {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '+', b == '/', b == '-', b == '_':
			if run++; run >= 16 {
				return true
			}
		default:
			run = 0
		}
	}
	return false
}

// json redacts a JSON value: it copies it, and replaces the values of members of the names. The value is valid.
func (r *redactor) json(value []byte, depth int) []byte {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); {
		if value[i] != '"' {
			out = append(out, value[i])
			i++
			continue
		}
		end := stringEnd(value, i)
		text := value[i:end]
		next := end + len(value[end:]) - len(bytes.TrimLeft(value[end:], " \t\r\n"))
		if next < len(value) && value[next] == ':' {
			out = append(out, value[i:next+1]...)
			i = next + 1
			if r.isName(text) {
				i += len(value[i:]) - len(bytes.TrimLeft(value[i:], " \t\r\n"))
				i = valueEnd(value, i)
				out = append(out, quoted...)
			}
			continue
		}
		out = append(out, r.text(text, depth)...)
		i = end
	}
	return out
}

func (r *redactor) isName(text []byte) bool {
	var name string
	return json.Unmarshal(text, &name) == nil && r.names[strings.ToLower(name)]
}

// text redacts a string of JSON: there may be JSON in it, as text or in base64.
func (r *redactor) text(text []byte, depth int) []byte {
	if !r.mayName(text) && !maybeBase64(text) {
		return text
	}
	var s string
	if json.Unmarshal(text, &s) != nil {
		return []byte(quoted)
	}
	for _, coding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if plain, err := coding.DecodeString(s); err == nil && !bytes.Equal(r.named(plain, depth), plain) {
			return []byte(quoted)
		}
	}
	if inner := r.named([]byte(s), depth); string(inner) != s {
		line, err := json.Marshal(string(inner))
		if err != nil {
			return []byte(quoted)
		}
		return line
	}
	return text
}

// named is content of something within a message: text that only mentions a name has no value to hide.
func (r *redactor) named(data []byte, depth int) []byte {
	if !bytes.ContainsAny(data, `{["`) {
		return data
	}
	return r.content(data, depth+1)
}

// stringEnd returns the end of the string that begins at i.
func stringEnd(value []byte, i int) int {
	for i++; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(value)
}

// valueEnd returns the end of the value that begins at i.
func valueEnd(value []byte, i int) int {
	depth := 0
	for i < len(value) {
		switch value[i] {
		case '"':
			if i = stringEnd(value, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// Check returns what is wrong with the rules.
func (r Redact) Check() error {
	if slices.Contains(r.Keys, "") || slices.Contains(r.Headers, "") {
		return errors.New("a rule that leaves something out has no name")
	}
	for _, topic := range r.Topics {
		if topic == "" || core.MatchesNothing(topic) {
			return fmt.Errorf("%.100q matches no topic", topic)
		}
	}
	return nil
}
