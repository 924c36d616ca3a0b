package polywiretest

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxLines is how many lines a log remembers.
const maxLines = 10_000

// Log is a logger whose lines are printed with the test and can be expected. Its methods may be called from any
// goroutine; Expect is for that of the test.
type Log struct {
	*slog.Logger

	// Static after construction.
	t     testing.TB
	level slog.LevelVar

	// Guarded by mu.
	mu    sync.Mutex
	lines []string      // the last ones
	more  chan struct{} // closed when there is another one
	over  bool          // the test has ended
}

// NewLog returns an empty log, for a broker that the program makes itself. [Start] has its own.
func NewLog(t testing.TB) *Log {
	l := &Log{t: t, more: make(chan struct{})}
	l.Logger = slog.New(slog.NewTextHandler(lineWriter{l, t.Output()}, &slog.HandlerOptions{Level: &l.level}))
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.over = true
	})
	return l
}

// lineWriter takes the lines of a log, one in each Write.
type lineWriter struct {
	log *Log
	to  io.Writer
}

func (w lineWriter) Write(line []byte) (int, error) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return len(line), nil
	}
	if len(l.lines) == maxLines {
		l.lines = slices.Delete(l.lines, 0, maxLines/2)
	}
	l.lines = append(l.lines, strings.TrimSuffix(string(line), "\n"))
	close(l.more)
	l.more = make(chan struct{})
	return w.to.Write(line)
}

// Expect waits until a line has been logged that holds all of some texts, and returns the first one, such as
// `level=INFO msg=refused endpoint=web …`.
func (l *Log) Expect(texts ...string) string {
	l.t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		line, more := l.find(texts)
		if line != "" {
			return line
		}
		select {
		case <-more:
		case <-over.C:
			l.t.Fatalf("no line was logged with %q", texts)
		}
	}
}

// find returns the first line with all of some texts, and what is closed when there is another line.
func (l *Log) find(texts []string) (line string, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return line, nil
		}
	}
	return "", l.more
}
