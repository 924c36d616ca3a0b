package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/polywire/polywire/core"
)

// maxHead is the biggest command and headers of a frame, in bytes.
const maxHead = 16 << 10

var (
	errHeadTooLarge = fault{core.ReasonTooLarge, core.Failure{Code: core.Invalid, Text: fmt.Sprintf("the headers are longer than %d bytes", maxHead)}}
	errHeadNUL      = malformed("a frame has an empty line behind its headers")
	errNoNUL        = malformed("the frame does not end where content-length says")
	errLength       = malformed("content-length is no number of bytes")
)

// splitter cuts what a client sends into frames. A WebSocket message may hold several
// frames, or part of one: clients split large ones (stomp.js by splitLargeFrames).
type splitter struct {
	max int // bytes of a frame

	rest []byte // the beginning of a frame whose end has not come
	seen int    // how far rest holds nothing of interest
	body int    // where its body begins; 0 if that has not come
	end  int    // where the frame ends, if content-length says so; else 0
}

// feed adds a message and calls each with every frame that is now complete, NUL included.
// Frames are valid until each returns, and each may overwrite them. feed stops at the first
// error of each, or its own. data is borrowed and may be overwritten.
func (s *splitter) feed(data []byte, each func(frame []byte) error) error {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, data...)
		data = s.rest
	}
	for {
		if data = skipLines(data); len(data) == 1 && data[0] == '\r' {
			break // the other half of a line end follows
		}
		n, err := s.length(data)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		s.seen, s.body, s.end = 0, 0, 0
		if err := each(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	switch {
	case len(data) > s.max:
		return s.tooLarge()
	case len(data) == 0:
		s.rest = nil
	case len(data) < len(s.rest) || len(s.rest) == 0:
		s.rest = append(s.rest[:0], data...)
	default:
		// data is rest: copying it onto itself for each piece that comes would take long.
	}
	return nil
}

// skipLines returns data without the line ends before a frame, which are heart-beats.
func skipLines(data []byte) []byte {
	for {
		switch {
		case len(data) > 0 && data[0] == '\n':
			data = data[1:]
		case len(data) > 1 && data[0] == '\r' && data[1] == '\n':
			data = data[2:]
		default:
			return data
		}
	}
}

// length returns the length of the frame at the beginning of data; 0 if its end has not
// come. It looks at each byte once, however small the pieces are in which they come.
func (s *splitter) length(data []byte) (int, error) {
	if s.body == 0 {
		if err := s.findBody(data); err != nil || s.body == 0 {
			return 0, err
		}
	}
	if s.end > 0 {
		switch {
		case len(data) < s.end:
			return 0, nil
		case data[s.end-1] != 0:
			return 0, errNoNUL
		}
		return s.end, nil
	}
	i := bytes.IndexByte(data[s.seen:], 0)
	if i < 0 {
		s.seen = len(data)
		return 0, nil
	}
	if n := s.seen + i + 1; n <= s.max {
		return n, nil
	}
	return 0, s.tooLarge()
}

// findBody finds the empty line behind the headers, and the end of the body if they
// tell it.
func (s *splitter) findBody(data []byte) error {
	for ; s.seen < min(len(data), maxHead); s.seen++ {
		switch data[s.seen] {
		case 0:
			return errHeadNUL
		case '\n':
			switch after := data[s.seen+1:]; {
			case len(after) == 0, len(after) == 1 && after[0] == '\r':
				return nil // what follows decides
			case after[0] == '\n':
				s.seen += 2
				return s.measure(data)
			case after[0] == '\r' && after[1] == '\n':
				s.seen += 3
				return s.measure(data)
			}
		}
	}
	if s.seen >= maxHead {
		return errHeadTooLarge
	}
	return nil
}

// measure notes where the body begins, which is at seen, and where it ends.
func (s *splitter) measure(data []byte) error {
	s.body = s.seen
	const name = "\ncontent-length:"
	_, value, found := bytes.Cut(data[:s.body], []byte(name))
	if !found {
		return nil
	}
	value, _, _ = bytes.Cut(value, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSuffix(value, []byte("\r"))), 10, 63)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return errLength
	case err != nil, n > uint64(s.max) || s.body+int(n)+1 > s.max:
		return s.tooLarge()
	}
	s.end = s.body + int(n) + 1
	return nil
}

func (s *splitter) tooLarge() error {
	return fault{core.ReasonTooLarge, core.Failure{Code: core.Invalid, Text: fmt.Sprintf("the frame is longer than %d bytes", s.max)}}
}
