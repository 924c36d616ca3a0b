package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"strconv"
)

const (
	// maxHead bounds the head of an HTTP message.
	maxHead = 64 << 10
	// maxLine bounds a line between chunks.
	maxLine = 4 << 10
)

var (
	headEnd = []byte("\r\n\r\n")
	lineEnd = []byte("\r\n")
)

// unread is what one side has said of HTTP and was not read yet. Into however small pieces it falls, what was
// looked at is not looked at again, but for a line between chunks.
type unread struct {
	data     []byte
	searched int   // so many bytes have no end of a head
	headLen  int   // of the head that was found
	body     *body // nil before the head was found
}

// head returns a reader of the next head; nil if it has not come whole, with an error if it never will.
func (u *unread) head() (*bufio.Reader, error) {
	at := bytes.Index(u.data[u.searched:], headEnd)
	if at < 0 {
		u.searched = max(0, len(u.data)-len(headEnd)+1)
		if len(u.data) > maxHead {
			return nil, errors.New("it has no head")
		}
		return nil, nil
	}
	u.headLen = u.searched + at + len(headEnd)
	return bufio.NewReader(bytes.NewReader(u.data[:u.headLen])), nil
}

// message returns the body of the message whose head was found, and goes on to the next message; whole is false
// if more has to come. end says that nothing more comes.
func (u *unread) message(end bool) (content []byte, whole bool, err error) {
	rest := u.data[u.headLen:]
	length, whole, err := u.body.end(rest, end)
	if err != nil || !whole {
		return nil, false, err
	}
	if content = bytes.Clone(rest[:length]); u.body.chunked {
		if content, err = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(content))); err != nil {
			return nil, false, fmt.Errorf("reading its chunks: %w", err)
		}
	}
	*u = unread{data: rest[length:]}
	return content, true, nil
}

// body says where the body of a message ends.
type body struct {
	length  int64 // -1 is up to the end of the connection, or as chunks say
	chunked bool
	// Of chunks: where the next line begins, and whether it is one of the trailer.
	at      int
	trailer bool
}

// newBody returns the body of a message with these header fields, as net/http returns them.
func newBody(length int64, encoding []string) *body {
	return &body{length: length, chunked: slices.Contains(encoding, "chunked")}
}

// end returns the length of the body with which data begins; whole is false if more has to come. end says that
// nothing more comes.
func (b *body) end(data []byte, end bool) (length int, whole bool, err error) {
	switch {
	case b.chunked:
		whole, err = b.lastChunk(data)
		return b.at, whole, err
	case b.length < 0:
		return len(data), end, nil
	}
	return int(min(b.length, int64(len(data)))), int64(len(data)) >= b.length, nil
}

// lastChunk goes on to behind the last chunk and its trailer (RFC 9112, section 7.1), as far as data goes.
func (b *body) lastChunk(data []byte) (whole bool, err error) {
	for b.at < len(data) {
		rest := data[b.at:]
		n := bytes.Index(rest[:min(len(rest), maxLine)], lineEnd)
		if n < 0 {
			if len(rest) >= maxLine {
				return false, errors.New("a line between chunks is too long")
			}
			return false, nil
		}
		next := b.at + n + len(lineEnd)
		if b.trailer {
			b.at = next
			if n == 0 {
				return true, nil
			}
			continue
		}
		number, _, _ := bytes.Cut(rest[:n], []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 16, 31)
		switch {
		case err != nil:
			return false, fmt.Errorf("reading the size of a chunk: %w", err)
		case size == 0:
			b.at, b.trailer = next, true
		default:
			// The next line may be beyond what has come.
			b.at = next + int(size) + len(lineEnd)
		}
	}
	return false, nil
}
