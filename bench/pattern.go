package main

import (
	"bytes"
	"fmt"
	"strings"
)

// The marks of a pattern, besides SEQ: WHO is the number of the caller, in whoDigits decimal
// digits, and ID is the server's id of the request, a UUID.
const (
	whoMark   = "WHO"
	whoDigits = 2
	idMark    = "UUID"
	idSize    = 36
)

// marks are the values of the marks. A mark that a pattern lacks is left unchanged.
type marks struct {
	seq [seqDigits]byte
	who [whoDigits]byte
	id  [idSize]byte
}

// setSeq and setWho write the numbers in decimal digits.
func (m *marks) setSeq(n uint64) { digits(m.seq[:], n) }
func (m *marks) setWho(n uint64) { digits(m.who[:], n) }

func digits(dst []byte, n uint64) {
	for i := range dst {
		dst[len(dst)-1-i] = '0' + byte(n%10)
		n /= 10
	}
}

// pattern is a message of fixed length in which marks stand for the parts that vary.
type pattern struct {
	text  []byte
	holes []hole // in order
}

// hole is the place of one mark in a pattern's text.
type hole struct {
	at, size int
	of       func(*marks) []byte
}

// newPattern reads a template.
func newPattern(template string) pattern {
	known := []struct {
		mark string
		size int
		of   func(*marks) []byte
	}{
		{seqMark, seqDigits, func(m *marks) []byte { return m.seq[:] }},
		{whoMark, whoDigits, func(m *marks) []byte { return m.who[:] }},
		{idMark, idSize, func(m *marks) []byte { return m.id[:] }},
	}
	var p pattern
	for len(template) > 0 {
		next := len(p.text)
		for _, k := range known {
			if rest, ok := strings.CutPrefix(template, k.mark); ok {
				p.holes = append(p.holes, hole{next, k.size, k.of})
				p.text = append(p.text, strings.Repeat("?", k.size)...)
				template = rest
			}
		}
		if len(p.text) == next {
			p.text = append(p.text, template[0])
			template = template[1:]
		}
	}
	return p
}

// append appends the message with the values of m in place of the marks.
func (p *pattern) append(dst []byte, m *marks) []byte {
	start := len(dst)
	dst = append(dst, p.text...)
	for _, h := range p.holes {
		copy(dst[start+h.at:], h.of(m))
	}
	return dst
}

// read checks that a message matches the pattern, and reads its marks into m.
func (p *pattern) read(message []byte, m *marks) error {
	if len(message) != len(p.text) {
		return p.mismatch(message)
	}
	from := 0
	for _, h := range p.holes {
		if !bytes.Equal(message[from:h.at], p.text[from:h.at]) {
			return p.mismatch(message)
		}
		from = h.at + h.size
		copy(h.of(m), message[h.at:from])
	}
	if !bytes.Equal(message[from:], p.text[from:]) {
		return p.mismatch(message)
	}
	return nil
}

func (p *pattern) mismatch(message []byte) error {
	return fmt.Errorf("got %q, want %q", message[:min(len(message), 300)], p.text)
}
