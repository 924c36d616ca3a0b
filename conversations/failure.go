package conversations

import (
	"fmt"
	"strings"
)

// Fault is one invalid line of a script.
type Fault struct {
	// File and Line are the position; lines count from 1.
	File string
	Line int
	// What is wrong, and Do says how to fix it.
	What, Do string
}

// Error returns "file:line: what; do".
func (f *Fault) Error() string {
	return fmt.Sprintf("%s:%d: %s; %s", f.File, f.Line, f.What, f.Do)
}

// Failure is a conversation that did not follow its script.
type Failure struct {
	// File, Line and Statement are the position in the script.
	File      string
	Line      int
	Statement string
	// Expected and Arrived describe the difference; Why points into it, and is empty if the two are
	// enough.
	Expected, Arrived, Why string
	// Connection is the connection that the statement is about, and Last its
	// last frames, oldest first. Both are empty for a statement about none.
	Connection string
	Last       []string
	// Err is the error that kept the statement from being executed, if that is what happened;
	// Expected and Arrived are empty then.
	Err error
}

// Error returns the whole report, on several lines.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s", f.File, f.Line, shorten(f.Statement))
	if f.Err != nil {
		fmt.Fprintf(&b, "\n  %v", f.Err)
	} else {
		fmt.Fprintf(&b, "\n  expected: %s\n  arrived:  %s", shorten(f.Expected), shorten(f.Arrived))
	}
	if f.Why != "" {
		fmt.Fprintf(&b, "\n  because:  %s", shorten(f.Why))
	}
	if len(f.Last) > 0 {
		fmt.Fprintf(&b, "\n  last frames of %s:", f.Connection)
		for _, line := range f.Last {
			fmt.Fprintf(&b, "\n    %s", line)
		}
	}
	return b.String()
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// shown is how many bytes of a frame or a text a report shows.
const shown = 300

// shorten cuts the middle out of a long text.
func shorten(s string) string {
	if len(s) <= shown {
		return s
	}
	const half = shown / 2
	return fmt.Sprintf("%s … (%d bytes) … %s",
		strings.ToValidUTF8(s[:half], ""), len(s), strings.ToValidUTF8(s[len(s)-half:], ""))
}
