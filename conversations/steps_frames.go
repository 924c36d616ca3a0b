package conversations

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// sendStep is "NAME > TEXT" and every other line that writes a frame.
type sendStep struct {
	name string
	op   ws.OpCode
	// text is the payload with ${…}; with asBytes it is parsed by parseBytes.
	text    string
	asBytes bool
	// raw writes the bytes without a frame around them.
	raw bool
	// code, of a close frame, precedes the text; 0 for an empty close frame.
	code uint16
	// fragments is the number of frames; 0 is one.
	fragments int
}

func (s *sendStep) actor() string { return s.name }

func (s *sendStep) play(p *Player) error {
	text, err := p.vars.expand(s.text)
	if err != nil {
		return err
	}
	payload := []byte(text)
	if s.asBytes {
		if payload, err = literalBytes(text); err != nil {
			return err
		}
	}
	c := p.connection(s.name)
	switch {
	case s.raw:
		c.note(">", "raw "+showText(payload))
		c.write(payload)
		c.unsynced = true
		return nil
	case s.op == ws.OpClose:
		if s.code != 0 {
			payload = append(binary.BigEndian.AppendUint16(nil, s.code), payload...)
		}
		c.note(">", arrival{closeFrame, payload}.String())
		c.left, c.unsynced = true, true
	default:
		c.note(">", sent(s.op, payload))
		c.dirty = true
	}
	s.write(c, payload)
	return nil
}

// sent describes a client's frame for reports.
func sent(op ws.OpCode, payload []byte) string {
	kinds := map[ws.OpCode]arrivalKind{
		ws.OpText: textMessage, ws.OpBinary: binaryMessage, ws.OpPing: pingFrame, ws.OpPong: pongFrame,
	}
	return arrival{kinds[op], payload}.String()
}

// write sends the payload in as many frames as the step says.
func (s *sendStep) write(c *connection, payload []byte) {
	op := s.op
	for left := max(s.fragments, 1); left > 0; left-- {
		size := len(payload) / left
		c.send(op, left == 1, payload[:size])
		payload, op = payload[size:], ws.OpContinuation
	}
}

// expectStep is "NAME < TEXT" and every other line that expects a frame or an end.
type expectStep struct {
	name string
	kind arrivalKind
	// pattern is the text with ${…}; kind and exact decide how it is compared.
	pattern string
	// exact compares the bytes of a text.
	exact bool
	// asBytes parses the pattern with parseBytes.
	asBytes bool
	// anyEnd accepts a reset as an end of stream too.
	anyEnd bool
}

func (s *expectStep) actor() string { return s.name }

func (s *expectStep) play(p *Player) error {
	pattern, err := p.vars.expand(s.pattern)
	if err != nil {
		return err
	}
	c := p.connection(s.name)
	if c.stalled {
		return fmt.Errorf("%s is stalled: write \"%s resume\" before it is to read", s.name, s.name)
	}
	expected := s.describe(pattern)
	deadline := time.Now().Add(p.script.Timeout)
	for {
		a, ok := c.next(deadline)
		if !ok {
			return &mismatch{expected: expected, arrived: fmt.Sprintf("nothing within %v", p.script.Timeout)}
		}
		if a.kind == pingFrame && s.kind != pingFrame {
			continue
		}
		if why := s.differs(a, pattern, p.vars); why != "" {
			return &mismatch{expected: expected, arrived: a.String(), why: why}
		}
		if s.kind == closeFrame {
			c.unsynced, c.left = true, true
		}
		return nil
	}
}

func (s *expectStep) describe(pattern string) string {
	switch {
	case s.anyEnd:
		return "eof or reset"
	case s.kind == endOfStream || s.kind == reset:
		return arrivalNames[s.kind]
	}
	return strings.TrimSpace(arrivalNames[s.kind] + " " + pattern)
}

// differs compares an arrival with the step and returns how it differs; "" if it does not.
func (s *expectStep) differs(a arrival, pattern string, v variables) string {
	if a.kind != s.kind && !(s.anyEnd && a.kind == reset) {
		return "it is of another kind"
	}
	same := false
	switch {
	case s.kind == endOfStream, s.kind == reset:
		return ""
	case s.kind == closeFrame:
		return differsClose(a, pattern, v)
	case s.asBytes:
		runs, err := parseBytes(pattern)
		if err != nil {
			return err.Error()
		}
		same = matchBytes(runs, a.data, v)
	case s.exact:
		same = pattern == string(a.data)
	case s.kind == textMessage:
		return matchText(pattern, string(a.data), v)
	default:
		return matchPlain(pattern, string(a.data), v)
	}
	if !same {
		return "the bytes differ"
	}
	return ""
}

// differsClose compares a close frame with "", "*" for anything, "CODE" or "CODE REASON"; the code
// may be * too.
func differsClose(a arrival, pattern string, v variables) string {
	code, reason := a.closeCode()
	wantCode, wantReason := cutWord(pattern)
	switch {
	case pattern == "*":
		return ""
	case wantCode == "" && len(a.data) > 0:
		return "it has a code"
	case wantCode != "" && wantCode != "*" && wantCode != strconv.Itoa(int(code)):
		return "the codes differ"
	}
	if why := matchPlain(wantReason, reason, v); why != "" {
		return "the reasons differ"
	}
	return ""
}
