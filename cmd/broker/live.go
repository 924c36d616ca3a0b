package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// live writes a line about what was seen: at a terminal in the same place, elsewhere when much time has
// passed. Any goroutine.
type live struct {
	out      io.Writer
	terminal bool

	mu      sync.Mutex
	line    string    // guarded by mu: the last one
	written time.Time // guarded by mu: when
}

// livePause is the time between two lines where they do not replace each other.
const livePause = 10 * time.Second

func newLive(out io.Writer) *live { return &live{out: out, terminal: isTerminal(out)} }

// isTerminal reports whether people read what is written to out as it comes.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (l *live) seen(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case line == l.line:
	case l.terminal:
		fmt.Fprintf(l.out, "\r\x1b[K%s", line)
		l.line = line
	case time.Since(l.written) >= livePause:
		fmt.Fprintln(l.out, line)
		l.line, l.written = line, time.Now()
	}
}

// note writes a line that stays.
func (l *live) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
	fmt.Fprintf(l.out, "broker: %s\n", text)
}

func (l *live) end(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
	fmt.Fprintln(l.out, line)
}
