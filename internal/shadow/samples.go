package shadow

import (
	"bufio"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/internal/record"
)

// maxLine is the longest line, in bytes.
const maxLine = 2000

// samples writes differences down. Owned by the comparer. A nil *samples writes nothing.
type samples struct {
	out     *bufio.Writer
	left    int
	censor  *record.Censor
	written int
	err     error
}

func newSamples(o Options) *samples {
	if o.Out == nil {
		return nil
	}
	s := &samples{out: bufio.NewWriter(o.Out), left: o.Samples, censor: record.NewCensor(o.Dissector, o.Endpoint, o.Path)}
	s.line("Differences that broker shadow has found between %s, the old server, and the broker, %s.", o.Server, time.Now().UTC().Format(time.RFC3339))
	s.line("What clients (>) and the old server (<) said before stands above each. Pings and pongs are left out.")
	s.flush()
	return s
}

// wanted reports whether a further difference would be written down.
func (s *samples) wanted() bool { return s != nil && s.left > 0 && s.err == nil && !s.censor.Full() }

func (s *samples) line(format string, args ...any) {
	text := strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, fmt.Sprintf(format, args...))
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.out, "# %s\n", short(text))
	}
}

// short cuts a text to the longest line.
func short(text string) string {
	if len(text) <= maxLine {
		return text
	}
	end := maxLine
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s … (%d bytes)", text[:end], len(text))
}

// add writes a difference down, after recent lines of its connection.
func (s *samples) add(kind Kind, name string, recent []string, lines ...string) {
	s.left--
	s.written++
	s.line("")
	for _, line := range recent {
		s.line("%s", line)
	}
	s.line("%d. %s: %s, seen at %s", s.written, strings.ToUpper(kind.String()), name, time.Now().UTC().Format("15:04:05.000"))
	for _, line := range lines {
		s.line("   %s", line)
	}
	if s.left == 0 {
		s.line("")
		s.line("These are enough samples; further differences are only counted.")
	}
	s.flush()
}

// end writes what was counted.
func (s *samples) end(sum Summary) {
	s.line("")
	s.line("%d connections and %d requests were compared, %d messages were equal, %d differences found:", sum.Connections, sum.Requests, sum.Equal, sum.Different())
	for kind, n := range sum.Differences {
		if n > 0 {
			s.line("  %d %s", n, Kind(kind))
		}
	}
	for reason, n := range sum.NotCompared {
		if n > 0 {
			s.line("%d connections or requests were not compared to their end: %s", n, Reason(reason))
		}
	}
	if sum.Unsettled > 0 {
		s.line("%d messages had found no equal when their connection, or the comparison, ended", sum.Unsettled)
	}
	s.flush()
}

func (s *samples) flush() {
	if s.err == nil {
		s.err = s.out.Flush()
	}
}

// failure returns the error of writing.
func (s *samples) failure() error {
	if s == nil || s.err == nil {
		return nil
	}
	return fmt.Errorf("writing the samples: %w", s.err)
}
