package main

import (
	"bytes"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

// maxHeaders is how many headers a frame may have.
const maxHeaders = 128

// fault is a mistake of the client; ERROR reports it.
type fault struct {
	reason core.Reason
	core.Failure
}

func malformed(text string) fault {
	return fault{core.ReasonMalformed, core.Failure{Code: core.Invalid, Text: text}}
}

var (
	errUTF8     = fault{core.ReasonInvalidUTF8, core.Failure{Code: core.Invalid, Text: "the headers are not UTF-8"}}
	errMany     = fault{core.ReasonTooLarge, core.Failure{Code: core.Invalid, Text: "the frame has too many headers"}}
	errColon    = malformed("a header has no name, or no colon behind it")
	errReturn   = malformed("a carriage return in a header is written \\r")
	errEscape   = malformed("a header has an escape that there is not")
	errHasABody = malformed("only SEND has a body")
)

// frame is one frame, of a client or of a server. Its bytes are borrowed.
type frame struct {
	command string
	headers []header
	body    []byte
}

type header struct{ name, value []byte }

// get returns the first header of a name, which is the one that counts; nil if there is
// none.
func (f *frame) get(name string) []byte {
	for _, h := range f.headers {
		if string(h.name) == name {
			return h.value
		}
	}
	return nil
}

// need is get for a header that must be there.
func (f *frame) need(name string) ([]byte, error) {
	value := f.get(name)
	if len(value) == 0 {
		return nil, malformed(f.command + " needs the header " + name)
	}
	return value, nil
}

// parse reads a whole frame, which it overwrites in part: escapes are resolved in place.
// v is none before the client has connected.
func (f *frame) parse(data []byte, v version) error {
	line, rest := cutLine(data, v)
	f.command, f.headers = commandOf(line), f.headers[:0]
	for {
		if line, rest = cutLine(rest, v); len(line) == 0 {
			break
		}
		if len(f.headers) == maxHeaders {
			return errMany
		}
		h, err := parseHeader(line, v, f.command)
		if err != nil {
			return err
		}
		f.headers = append(f.headers, h)
	}
	f.body = rest[:len(rest)-1]
	switch f.command {
	case "SEND", "MESSAGE", "ERROR":
		return nil
	}
	if len(f.body) > 0 {
		return errHasABody
	}
	return nil
}

// cutLine splits data after its first line end, which is CR LF or LF; version 1.1 knows only
// the latter. There is always one: the splitter has seen the empty line.
func cutLine(data []byte, v version) (line, rest []byte) {
	line, rest, _ = bytes.Cut(data, []byte("\n"))
	if v != v11 {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	return line, rest
}

// commands are those of clients, and of servers.
var commands = [...]string{
	"CONNECT", "STOMP", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT",
	"CONNECTED", "MESSAGE", "RECEIPT", "ERROR",
}

// commandOf returns the command that line is, "" if it is none.
func commandOf(line []byte) string {
	for _, c := range commands {
		if string(line) == c {
			return c
		}
	}
	return ""
}

// parseHeader reads a line. A colon in a value should be escaped, but many clients do
// not, and it does no harm.
func parseHeader(line []byte, v version, command string) (header, error) {
	name, value, found := bytes.Cut(line, []byte(":"))
	switch {
	case !found || len(name) == 0:
		return header{}, errColon
	case !utf8.Valid(line):
		return header{}, errUTF8
	case v != v11 && bytes.IndexByte(line, '\r') >= 0:
		return header{}, errReturn
	case command == "CONNECT" || command == "STOMP" || command == "CONNECTED":
		// Nothing is escaped before the version is known.
		return header{name, value}, nil
	}
	name, ok := unescape(name, v)
	value, okay := unescape(value, v)
	if !ok || !okay {
		return header{}, errEscape
	}
	return header{name, value}, nil
}

// unescape resolves the escapes of b in place.
func unescape(b []byte, v version) (text []byte, ok bool) {
	from := bytes.IndexByte(b, '\\')
	if from < 0 {
		return b, true
	}
	text = b[:from]
	for i := from; i < len(b); i++ {
		c := b[i]
		if c == '\\' {
			if i++; i == len(b) {
				return nil, false
			}
			switch {
			case b[i] == '\\':
			case b[i] == 'n':
				c = '\n'
			case b[i] == 'c':
				c = ':'
			case b[i] == 'r' && v == v12:
				c = '\r'
			default:
				return nil, false
			}
		}
		text = append(text, c)
	}
	return text, true
}

// appendEscaped appends text as part of a header.
func appendEscaped(dst, text []byte, v version) []byte {
	for _, c := range text {
		switch {
		case c == '\\':
			dst = append(dst, `\\`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == ':':
			dst = append(dst, `\c`...)
		case c == '\r' && v != v11:
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendHeader appends a line.
func appendHeader(dst []byte, v version, name string, value []byte) []byte {
	dst = append(append(dst, name...), ':')
	return append(appendEscaped(dst, value, v), '\n')
}
