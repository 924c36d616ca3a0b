package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one fault of the configuration.
type Problem struct {
	// File is the YAML file, the environment variable or the flag; "" if a program has made the configuration.
	File string
	// Line counts from 1; 0 if File has no lines.
	Line int
	// Path is the key, such as endpoints[1].listen; "" is the whole file.
	Path string
	// Text says what is wrong and, if known, what would be right.
	Text string
}

// String returns "file:line: path: text", without the empty parts.
func (p Problem) String() string {
	var parts []string
	switch {
	case p.Line > 0:
		parts = append(parts, p.File+":"+strconv.Itoa(p.Line))
	case p.File != "":
		parts = append(parts, p.File)
	}
	if p.Path != "" {
		parts = append(parts, p.Path)
	}
	return strings.Join(append(parts, p.Text), ": ")
}

// Errors are all the faults of a configuration: those of the file in the order
// of its lines, then the others.
type Errors []Problem

// Error returns one line for each problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// position is where a key is written.
type position struct {
	file string
	line int
}

// report collects problems and knows where each key was last set.
type report struct {
	file     string
	written  map[string]position
	problems Errors
}

// at returns where path was set, or else its nearest parent.
func (r *report) at(path string) position {
	for {
		if p, ok := r.written[path]; ok {
			return p
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return position{file: r.file}
		}
		path = path[:i]
	}
}

// add reports what is wrong with the value at path.
func (r *report) add(path, format string, args ...any) {
	r.addAt(r.at(path), path, format, args...)
}

// addAt reports a problem written at p. Only the first one of each key is kept: the later ones
// follow from it and would be noise.
func (r *report) addAt(p position, path, format string, args ...any) {
	problem := Problem{File: p.file, Line: p.line, Path: display(path), Text: fmt.Sprintf(format, args...)}
	for _, other := range r.problems {
		if other.Path == problem.Path && other.File == problem.File && other.Line == problem.Line {
			return
		}
	}
	if strings.HasPrefix(problem.Text, "is missing") && r.explained(path) {
		return
	}
	r.problems = append(r.problems, problem)
}

// explained reports whether another problem already explains why the key at path is missing: its
// parent is no mapping, or the key is misspelt.
func (r *report) explained(path string) bool {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return false
	}
	parent, meant := display(path[:i]), suggestion(path[i+1:])
	return slices.ContainsFunc(r.problems, func(p Problem) bool {
		return p.Path == parent || strings.HasPrefix(p.Path, parent+".") && strings.HasSuffix(p.Text, meant)
	})
}

// sorted returns the problems in line order, those outside the file last.
func (r *report) sorted() Errors {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if (a.File == r.file) != (b.File == r.file) {
			if a.File == r.file {
				return -1
			}
			return 1
		}
		return a.Line - b.Line
	})
	return r.problems
}

// display formats endpoints.1.listen as endpoints[1].listen.
func display(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		switch _, err := strconv.ParseUint(part, 10, 32); {
		case err == nil && b.Len() > 0:
			b.WriteString("[" + part + "]")
		case b.Len() > 0:
			b.WriteString("." + part)
		default:
			b.WriteString(part)
		}
	}
	return b.String()
}

// join appends key to path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
