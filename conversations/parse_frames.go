package conversations

import (
	"strconv"
	"strings"

	"github.com/gobwas/ws"
)

// connectionStep parses what follows the name of a connection.
func (p *parser) connectionStep(name, rest string, l *line) (step, error) {
	verb, argument := cutWord(rest)
	switch verb {
	case "nosync":
		return &habitStep{name, nosync}, nil
	case "stall":
		return &habitStep{name, stall}, nil
	case "resume":
		return &habitStep{name, resume}, nil
	case "cut":
		return &habitStep{name, cut}, nil
	case "abort":
		return &habitStep{name, abort}, nil
	case "silence":
		s := &silenceStep{name: name}
		if argument == "" {
			return s, nil
		}
		var err error
		s.wait, err = parseDuration(argument)
		return s, err
	}
	switch {
	case strings.HasPrefix(verb, ">"):
		return send(name, verb[1:], argument)
	case verb == "<status":
		s := &answerStep{name: name}
		var err error
		if s.reply.status, err = parseStatus(argument); err != nil {
			return nil, err
		}
		p.reply(&s.reply, l)
		return s, nil
	case strings.HasPrefix(verb, "<"):
		return expect(name, verb[1:], argument)
	}
	return nil, wrong(`use >, >t, >b, >ping, >pong, >close, >raw, >fragments, <, <=, <t, <b, <ping, <pong, <close, <eof, <reset, <end, `+
		`<status, silence, stall, resume, nosync, cut or abort`, "a connection does not %q", verb)
}

// send parses a line that writes: kind follows the >, argument is the rest.
func send(name, kind, argument string) (step, error) {
	s := &sendStep{name: name, op: ws.OpText, text: argument}
	var err error
	switch kind {
	case "":
		if argument == "" {
			err = wrong(`write "`+name+` >t \"\"" for an empty message`, "the text is missing")
		}
	case "t":
		s.asBytes = true
	case "b":
		s.op, s.asBytes = ws.OpBinary, true
	case "raw":
		s.raw, s.asBytes = true, true
	case "ping":
		s.op = ws.OpPing
	case "pong":
		s.op = ws.OpPong
	case "close":
		err = s.close(argument)
	case "fragments":
		var count string
		count, s.text = cutWord(argument)
		if s.fragments, err = strconv.Atoi(count); err != nil || s.fragments < 1 {
			err = wrong(`write "`+name+` >fragments 3 TEXT"`, "%q is no number of fragments", count)
		}
	default:
		err = wrong("use >, >t, >b, >ping, >pong, >close, >raw or >fragments", "there is nothing like >%s to send", kind)
	}
	if err == nil && s.asBytes {
		err = checkedBytes(s.text, false)
	}
	return s, err
}

// close parses "", "CODE" or "CODE REASON".
func (s *sendStep) close(argument string) error {
	s.op = ws.OpClose
	code, reason := cutWord(argument)
	s.text = reason
	if code == "" {
		return nil
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || n == 0 {
		return wrong("write a number such as 1000, then the reason", "%q is no close code", code)
	}
	s.code = uint16(n)
	return nil
}

// expect parses a line that expects: kind follows the <, argument is the rest.
func expect(name, kind, argument string) (step, error) {
	s := &expectStep{name: name, pattern: argument}
	var err error
	switch kind {
	case "":
		err = checkedPattern(argument)
	case "=":
		s.exact = true
	case "t":
		s.asBytes = true
		err = checkedBytes(argument, true)
	case "b":
		s.kind, s.asBytes = binaryMessage, true
		err = checkedBytes(argument, true)
	case "ping":
		s.kind = pingFrame
	case "pong":
		s.kind = pongFrame
	case "close":
		s.kind = closeFrame
		if code, _ := cutWord(argument); code != "" && code != "*" {
			if _, e := strconv.ParseUint(code, 10, 16); e != nil {
				err = wrong("write a number such as 1000, then the reason, or *", "%q is no close code", code)
			}
		}
	case "eof":
		s.kind = endOfStream
	case "reset":
		s.kind = reset
	case "end":
		s.kind, s.anyEnd = endOfStream, true
	default:
		err = wrong("use <, <=, <t, <b, <ping, <pong, <close, <status, <eof, <reset or <end", "there is nothing like <%s to await", kind)
	}
	if s.kind == pingFrame && argument == "" {
		s.pattern = "*"
	}
	return s, err
}

// checkedBytes checks whether bytes can be parsed, as far as that is known before the script runs.
func checkedBytes(s string, pattern bool) error {
	filled, err := expand(s, func(string) (string, error) { return "00", nil })
	if err == nil && pattern {
		_, err = parseBytes(filled)
	} else if err == nil {
		_, err = literalBytes(filled)
	}
	if err != nil {
		return wrong(`write bytes as 81 05 "text"`, "%v", err)
	}
	return nil
}
