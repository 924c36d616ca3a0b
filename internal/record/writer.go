package record

import (
	"bufio"
	"fmt"
	"io"
)

// writer counts what it writes, and keeps the first error. One goroutine.
type writer struct {
	out  *bufio.Writer
	size int64
	err  error
}

func newWriter(out io.Writer) *writer { return &writer{out: bufio.NewWriterSize(out, 64<<10)} }

func (w *writer) Write(b []byte) (int, error) {
	if w.err == nil {
		_, err := w.out.Write(b)
		w.keep(err)
		w.size += int64(len(b))
	}
	return len(b), w.err
}

func (w *writer) flush() {
	if w.err == nil {
		w.keep(w.out.Flush())
	}
}

func (w *writer) keep(err error) {
	if err != nil {
		w.err = fmt.Errorf("writing the conversation: %w", err)
	}
}
