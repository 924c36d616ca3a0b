package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// checklist writes one line for each check, as soon as it is known.
type checklist struct {
	out            io.Writer
	passed, faulty int
}

// unfounded is the error of a check that cannot run because something is missing, which is
// nobody's fault.
type unfounded string

func (u unfounded) Error() string { return string(u) }

// tick carries out c and reports whether it passed.
func (l *checklist) tick(ctx context.Context, c check) bool {
	seen, err := c.run(ctx)
	var missing unfounded
	switch {
	case err == nil:
		l.passed++
		l.line("ok", c.name, seen)
		return true
	case errors.As(err, &missing):
		l.line("not checked", c.name, string(missing))
		return true
	}
	l.faulty++
	// A report of several lines stays one item of the list.
	l.line("FAILED", c.name, strings.ReplaceAll(err.Error(), "\n", "\n    ")+"; "+c.do)
	return false
}

func (l *checklist) line(outcome, name, text string) {
	if text != "" {
		name += ": " + text
	}
	fmt.Fprintf(l.out, "%-11s  %s\n", outcome, name)
}

// end returns the error of the whole list.
func (l *checklist) end() error {
	if l.faulty > 0 {
		return fmt.Errorf("%d of %d checks failed", l.faulty, l.faulty+l.passed)
	}
	return nil
}
