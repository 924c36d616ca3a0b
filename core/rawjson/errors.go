package rawjson

import (
	"errors"
	"fmt"
)

// The two ways in which a text fails; compare with errors.Is.
var (
	// ErrSyntax: the text is not JSON (RFC 8259), or not of the requested kind.
	ErrSyntax = errors.New("invalid JSON")
	// ErrDepth: the text is nested more than MaxDepth levels deep.
	ErrDepth = errors.New("JSON nested too deeply")
)

// errUnread is what the iterators' Err returns before their end.
var errUnread = errors.New("JSON not read to its end")

// SyntaxError is the error of this package: where the text fails, and how.
type SyntaxError struct {
	// Offset is the index of the byte that does not fit, or the length of a
	// text that ends too early.
	Offset int
	// Err is ErrSyntax or ErrDepth.
	Err error
}

// Error names the fault and its offset.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%v at offset %d", e.Err, e.Offset) }

// Unwrap returns Err.
func (e *SyntaxError) Unwrap() error { return e.Err }
