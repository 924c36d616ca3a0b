package shadow

const (
	// recentLines is how many lines of a connection stand before a difference.
	recentLines = 8
	// keptLines and keptBytes bound the lines of a connection that are kept: what a difference is about has waited,
	// and more was said meanwhile.
	keptLines = 64
	keptBytes = 16 << 10
)

// recent are the last lines of what was said on a connection.
type recent struct {
	lines []string
	bytes int
	said  int // how many there were, those of lines included
}

// add adds a line.
func (r *recent) add(line string) {
	r.said++
	r.lines = append(r.lines, line)
	r.bytes += len(line)
	for len(r.lines) > keptLines || r.bytes > keptBytes && len(r.lines) > recentLines {
		r.bytes -= len(r.lines[0])
		r.lines = append(r.lines[:0], r.lines[1:]...)
	}
}

// forget forgets the lines.
func (r *recent) forget() { r.lines, r.bytes = nil, 0 }

// until returns the last lines of the first so many.
func (r *recent) until(said int) []string {
	end := len(r.lines) - (r.said - said)
	if end <= 0 {
		return nil
	}
	return r.lines[max(0, end-recentLines):end]
}
