package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// versionLine is a directive that gives the YAML version of the file.
var versionLine = regexp.MustCompile(`^%YAML[ \t]+1\.([0-9]+)[ \t]*(#.*)?\r?$`)

// anyVersion replaces the minor version of a %YAML line that the library refuses by the one that it
// accepts: the versions do not differ in anything that a configuration uses. Line numbers stay the
// same.
func anyVersion(data []byte) []byte {
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i, line := range lines {
		text := bytes.TrimPrefix(line, []byte("\ufeff"))
		switch {
		case len(bytes.TrimSpace(text)) == 0, text[0] == '#':
		case text[0] != '%':
			return data // a directive comes before everything else
		case versionLine.Match(bytes.TrimSuffix(text, []byte("\n"))):
			lines[i] = []byte("%YAML 1.1\n")
			return bytes.Join(lines, nil)
		}
	}
	return data
}

// word matches a key that lacks the space behind its colon.
var word = regexp.MustCompile(`^[\s-]*[A-Za-z_]+:[^\s/]`)

// comment matches a # in the place of a value.
var comment = regexp.MustCompile(`[:\[,]\s*#`)

// sigil matches a value that begins with a character that YAML reserves.
var sigil = regexp.MustCompile("[:\\-,\\[{]\\s*([*&!%@`][^\\s,\\]}]*)")

// colon matches a value in braces or brackets that begins with a colon.
var colon = regexp.MustCompile(`[{,\[]\s*(?:[A-Za-z_]+:\s+)?(:[0-9][^\s,\]}]*)`)

// advice names the most likely mistake behind a syntax error, judging by the lines around the line,
// counted from 1, where YAML stops; "" if it is none of the usual ones.
func advice(data []byte, line int, text string) string {
	lines := strings.Split(string(data), "\n")
	at := func(n int) string {
		if n < 1 || n > len(lines) {
			return ""
		}
		return lines[n-1]
	}
	bad := at(line)
	for _, n := range []int{line, line - 1} {
		rest := strings.TrimLeft(at(n), " \t-")
		if strings.Contains(strings.TrimSuffix(at(n), rest), "\t") {
			return "a tab indents the line; YAML takes spaces alone"
		}
		begin := strings.TrimLeftFunc(at(n), func(r rune) bool { return r == ' ' || r == '-' || invisible(r) })
		if strings.ContainsFunc(strings.TrimSuffix(at(n), begin), invisible) {
			return "spaces that are none for YAML, such as web pages have (U+00A0), indent the line; write plain ones"
		}
	}
	says := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case directed(lines) && says("incompatible", "document start", "mapping values are not allowed"):
		return `a file that begins with a directive begins with "%YAML 1.2" and, in the next line, "---"`
	case says("unknown anchor") && strings.Contains(bad, "<<:"):
		return "an alias needs an anchor of the same name before it"
	case sigil.MatchString(bad) && says("alphabetic or numeric", "cannot start any token", "unknown anchor"):
		value := sigil.FindStringSubmatch(bad)[1]
		return "a value that begins with " + value[:1] + ` must be in quotes: "` + value + `"`
	case comment.MatchString(bad) && says("node content", "expected ','"):
		return `a # behind a space or a bracket begins a comment; as a value it must be in quotes: "#"`
	case colon.MatchString(bad) && says("node content", "expected ','", "invalid map key"):
		return `a value in braces that begins with a colon must be in quotes: "` + colon.FindStringSubmatch(bad)[1] + `"`
	case strings.Contains(bad, "{{") && says("invalid map key"):
		return "a value that begins with { must be in quotes; nobody fills in templates here, but ${NAME} is a variable"
	case says("unexpected end of stream"):
		return "a quote is opened that is not closed"
	case word.MatchString(bad):
		return "a colon behind a key needs a space behind it"
	case says("mapping values are not allowed"):
		return "either the line is indented too far, or its value has a colon and must be in quotes"
	case says("expected key", "expected '-' indicator"):
		return "the line is not indented like those that it belongs to"
	}
	return ""
}

// directed reports whether the file begins with a directive.
func directed(lines []string) bool {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line[0] == '%'
		}
	}
	return false
}

// invisible reports whether r looks like a space, or like nothing, but is no YAML space.
func invisible(r rune) bool {
	return r > unicode.MaxASCII && (unicode.IsSpace(r) || unicode.Is(unicode.Cf, r))
}

// foreignByte returns the offset and a description of the first byte that text cannot have; -1 if
// data is text.
func foreignByte(data []byte) (at int, what string) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return -1, "" // UTF-16
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			return i, fmt.Sprintf("the byte %#x is no UTF-8; save the file as UTF-8", data[i])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', 0x7f <= r && r < 0xa0 && r != 0x85:
			return i, fmt.Sprintf("there is a control character, %U; is it a text file?", r)
		}
		i += n
	}
	return -1, ""
}
