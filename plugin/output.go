package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core/logging"
)

// The bounds of what a plugin may write into the log.
const (
	maxLine        = 8 << 10
	linesPerSecond = 200
	textsPerMinute = 200 // that are recognised when repeated
	keptLines      = 5
)

// output turns what a plugin writes into log records. Any goroutine.
type output struct {
	// Static after construction.
	log *slog.Logger

	// Guarded by mu.
	mu     sync.Mutex
	line   []byte
	kept   []string // the last lines
	second time.Time
	count  int // lines since second
	minute time.Time
	said   map[string]struct{} // what was said since minute
}

func newOutput(log *slog.Logger) *output { return &output{log: log} }

// Write takes any piece of the output. It does not fail.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := maxLine - len(o.line); len(line) > room {
			line = line[:room]
		}
		o.line = append(o.line, line...)
		if !whole {
			return n, nil
		}
		if text := bytes.TrimSpace(o.line); len(text) > 0 {
			o.record(text)
		}
		o.line = o.line[:0]
		b = rest
	}
}

// record logs one line. The caller holds mu.
func (o *output) record(line []byte) {
	if o.kept = append(o.kept, string(line)); len(o.kept) > keptLines {
		o.kept = slices.Delete(o.kept, 0, 1)
	}
	if now := time.Now(); now.Sub(o.second) >= time.Second {
		o.second, o.count = now, 0
	}
	if o.count++; o.count > linesPerSecond {
		o.log.Warn("plugin writes too much; this is not in the log", logging.Bounded("", ""), logging.Quoted("text", string(line)))
		return
	}
	level, text, attrs := parseLine(line)
	about := slog.String("text", text)
	if o.again(text) {
		about = logging.Bounded("", "", about)
	}
	o.log.Log(context.Background(), level, "plugin says", append([]any{about}, attrs...)...)
}

// again reports whether text was said recently. The caller holds mu.
func (o *output) again(text string) bool {
	if now := time.Now(); now.Sub(o.minute) >= time.Minute || len(o.said) >= textsPerMinute {
		o.minute, o.said = now, make(map[string]struct{})
	}
	_, known := o.said[text]
	o.said[text] = struct{}{}
	return known
}

// last returns the last lines, joined.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.kept, " | ")
}

// parseLine splits a record that log/slog, or a similar logger, wrote as JSON. Any other
// line is its own text.
func parseLine(line []byte) (level slog.Level, text string, attrs []any) {
	var record map[string]any
	if json.Unmarshal(line, &record) != nil {
		return slog.LevelInfo, string(line), nil
	}
	text, ok := take(record, "msg", "@message", "message")
	if !ok {
		return slog.LevelInfo, string(line), nil
	}
	name, _ := take(record, "level", "@level")
	if level.UnmarshalText([]byte(name)) != nil {
		level = slog.LevelInfo
	}
	for _, time := range []string{"time", "@timestamp"} {
		delete(record, time)
	}
	for _, key := range slices.Sorted(maps.Keys(record)) {
		attrs = append(attrs, slog.Any(key, record[key]))
	}
	return level, text, attrs
}

// take removes and returns the first of the named members that is a string.
func take(record map[string]any, names ...string) (string, bool) {
	for _, name := range names {
		if s, ok := record[name].(string); ok {
			delete(record, name)
			return s, true
		}
	}
	return "", false
}
