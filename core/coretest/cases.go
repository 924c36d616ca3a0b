package coretest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// Case is one case of a file of wire cases: a line, and the text after its arrow.
type Case struct {
	// Line is the number of the case's line.
	Line int
	// Setting is the text of the last settings line before the case.
	Setting string
	// Given and Out are the case's line and what follows the arrow.
	Given, Out string
}

// Cases reads a file of wire cases. Lines that begin with # are comments; a line that
// begins with the word setting, unless that is empty, applies to the cases after it.
func Cases(t testing.TB, file, setting string) []Case {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	var current string
	for i, line := range strings.Split(string(data), "\n") {
		out, isOut := strings.CutPrefix(line, "=> ")
		value, isSetting := strings.CutPrefix(line, setting)
		switch {
		case line == "" || line[0] == '#':
		case isSetting && setting != "":
			current = strings.TrimSpace(value)
		case !isOut:
			cases = append(cases, Case{Line: i + 1, Setting: current, Given: line})
		case len(cases) == 0 || cases[len(cases)-1].Out != "":
			t.Fatalf("%s:%d: an arrow without a case", file, i+1)
		default:
			cases[len(cases)-1].Out = out
		}
	}
	for _, c := range cases {
		if c.Out == "" {
			t.Fatalf("%s:%d: a case without an arrow", file, c.Line)
		}
	}
	return cases
}

// Frame reads the client message of a case: "text MESSAGE" as it stands, or
// "quoted" and "binary" with the message in Go's notation.
func (c Case) Frame(t testing.TB) core.Frame {
	t.Helper()
	form, message, _ := strings.Cut(c.Given, " ")
	kind, err := core.TextFrame, error(nil)
	switch form {
	case "text":
	case "quoted":
		message, err = strconv.Unquote(message)
	case "binary":
		kind = core.BinaryFrame
		message, err = strconv.Unquote(message)
	default:
		err = fmt.Errorf("unknown form %q", form)
	}
	if err != nil {
		t.Fatalf("line %d: %v", c.Line, err)
	}
	return core.Frame{Kind: kind, Data: []byte(message)}
}
