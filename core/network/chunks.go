package network

import "errors"

// chunks follows a chunked body to its end (RFC 9112, section 7.1), byte by byte and
// without keeping any.
type chunks struct {
	state chunkState
	size  uint64 // of the chunk, without what has come
	line  int    // bytes of the line so far
}

type chunkState uint8

const (
	chunkSize      chunkState = iota // hexadecimal digits
	chunkBlank                       // which some clients put after them
	chunkExtension                   // which may follow
	chunkSizeEnd                     // LF after the size
	chunkData
	chunkDataCR
	chunkDataLF
	trailerBegin // of a line
	trailerLine
	trailerLineEnd // LF after a line
	trailerEnd     // LF after the empty line
)

// maxChunkLine bounds a line of sizes or trailers, in bytes. net/http's bound is lower.
const maxChunkLine = 4 << 10

var errChunks = errors.New("malformed chunked body")

// follow reads b and returns how much of it belongs to the body, and whether the body ends
// there.
func (c *chunks) follow(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		if c.state == chunkData {
			skip := min(c.size, uint64(len(b)-n))
			n, c.size = n+int(skip), c.size-skip
			if c.size == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		done, ok := c.step(b[n])
		if !ok {
			return n, false, errChunks
		}
		if n++; done {
			return n, true, nil
		}
	}
	return n, false, nil
}

// step takes one byte that is not data.
func (c *chunks) step(ch byte) (done, ok bool) {
	c.line++
	switch c.state {
	case chunkSize:
		return false, c.sizeStep(ch)
	case chunkBlank:
		return false, c.blankStep(ch) && c.line < maxChunkLine
	case chunkExtension:
		if ch == '\r' {
			c.state = chunkSizeEnd
			return false, true
		}
		return false, isText(ch) && c.line < maxChunkLine
	case chunkSizeEnd:
		if c.state = chunkData; c.size == 0 {
			c.state = trailerBegin
		}
		c.line = 0
		return false, ch == '\n'
	case chunkDataCR:
		c.state = chunkDataLF
		return false, ch == '\r'
	case chunkDataLF:
		c.state, c.line = chunkSize, 0
		return false, ch == '\n'
	case trailerBegin:
		if ch == '\r' {
			c.state = trailerEnd
			return false, true
		}
		c.state, c.line = trailerLine, 0
		return false, isToken([]byte{ch})
	case trailerLine:
		if ch == '\r' {
			c.state = trailerLineEnd
			return false, true
		}
		return false, isText(ch) && c.line < maxChunkLine
	case trailerLineEnd:
		c.state = trailerBegin
		return false, ch == '\n'
	default: // trailerEnd
		return true, ch == '\n'
	}
}

// sizeStep takes a byte of a chunk's size.
func (c *chunks) sizeStep(ch byte) bool {
	digit := uint64(0)
	switch {
	case '0' <= ch && ch <= '9':
		digit = uint64(ch - '0')
	case 'a' <= ch && ch <= 'f':
		digit = uint64(ch-'a') + 10
	case 'A' <= ch && ch <= 'F':
		digit = uint64(ch-'A') + 10
	case ch == ';':
		c.state = chunkExtension
		return c.line > 1
	default:
		return c.line > 1 && c.blankStep(ch)
	}
	c.size = c.size<<4 | digit
	return c.line <= 16
}

// blankStep takes a byte after a chunk's size that is not an extension.
func (c *chunks) blankStep(ch byte) bool {
	switch ch {
	case ' ', '\t':
		c.state = chunkBlank
	case '\r':
		c.state = chunkSizeEnd
	default:
		return false
	}
	return true
}

// isText reports whether ch may be in a line.
func isText(ch byte) bool { return ch >= ' ' && ch != 0x7f || ch == '\t' }
