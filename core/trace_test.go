package core

import (
	"strings"
	"testing"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

// W3C Trace Context, section 3.2.
func TestParseTraceParent(t *testing.T) {
	for _, c := range []struct{ name, header, want string }{
		{"sampled", parent, parent},
		{"not sampled", "00-" + traceID + "-" + spanID + "-00", "00-" + traceID + "-" + spanID + "-00"},
		{"other flags are not passed on", "00-" + traceID + "-" + spanID + "-ff", parent},
		{"a later version", "cc-" + traceID + "-" + spanID + "-01", parent},
		{"a later version with more", "cc-" + traceID + "-" + spanID + "-01-what", parent},
		{"a later version with more in place", "cc-" + traceID + "-" + spanID + "-01what", ""},
		{"more in this version", parent + "-what", ""},
		{"version ff", "ff-" + traceID + "-" + spanID + "-01", ""},
		{"no version", "0x-" + traceID + "-" + spanID + "-01", ""},
		{"upper case", strings.ToUpper(parent), ""},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", ""},
		{"no span", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"a digit that is none", "00-" + traceID[1:] + "g-" + spanID + "-01", ""},
		{"flags that are none", "00-" + traceID + "-" + spanID + "-0g", ""},
		{"without dashes", strings.ReplaceAll(parent, "-", "0"), ""},
		{"too short", parent[:54], ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ParseTrace(c.header, "a=1")
			if c.want == "" {
				if got != (Trace{}) {
					t.Errorf("got %+v, want none", got)
				}
				return
			}
			if got.Parent() != c.want || got.TraceID() != traceID || got.State != "a=1" {
				t.Errorf("got %q, %q, want %q, a=1", got.Parent(), got.State, c.want)
			}
		})
	}
}

// W3C Trace Context, section 3.3.
func TestParseTraceState(t *testing.T) {
	for state, passed := range map[string]bool{
		"":                                false,
		"rojo=00f067aa0ba902b7":           true,
		"rojo=1,congo=t61rcWkgMzE":        true,
		"a=1 ,\tb=2,,":                    true,
		"t@vendor=":                       true,
		"novalue":                         false,
		"=nokey":                          false,
		"a=1\r\nX: y":                     false,
		"a=é":                             false,
		"a=" + strings.Repeat("x", 510):   true,
		"a=" + strings.Repeat("x", 511):   false,
		strings.Repeat("a=1,", 31) + "a=": true,
		strings.Repeat("a=1,", 32) + "a=": false,
	} {
		got := ParseTrace(parent, state)
		if want := map[bool]string{true: state}[passed]; got.State != want || got.TraceID() != traceID {
			t.Errorf("%q: state %q of trace %s, want %q", state, got.State, got.TraceID(), want)
		}
	}
}

func TestTraceFromHeaders(t *testing.T) {
	for headers, want := range map[string]Trace{
		"":                                 ParseTrace("", ""),
		`{}`:                               ParseTrace("", ""),
		`{"traceparent":"` + parent + `"}`: ParseTrace(parent, ""),
		`{"tracestate":"a=\u0031","x":"y","traceparent":"` + parent + `"}`: ParseTrace(parent, "a=1"),
		`{"traceparent":1}`:  ParseTrace("", ""),
		`{"traceparent":""}`: ParseTrace("", ""),
		`[]`:                 ParseTrace("", ""),
	} {
		if got := TraceFromHeaders([]byte(headers)); got != want {
			t.Errorf("%s: %+v, want %+v", headers, got, want)
		}
	}
	if got := TraceFromHeaders(nil); got != (Trace{}) {
		t.Errorf("no headers: %+v", got)
	}
}

func TestTraceChild(t *testing.T) {
	for _, c := range []struct {
		name  string
		trace Trace
	}{{"within a trace", ParseTrace(parent, "a=1")}, {"a new one", Trace{}}} {
		one, two := c.trace.Child(), c.trace.Child()
		if one.Span == two.Span || one.Span == c.trace.Span || ParseTrace(one.Parent(), one.State) != one {
			t.Errorf("%s: children %+v and %+v", c.name, one, two)
		}
		if within := c.trace != (Trace{}); within != (one.ID == two.ID) || within && (one.ID != c.trace.ID || one.State != "a=1") {
			t.Errorf("%s: children %+v and %+v", c.name, one, two)
		}
		if one.Flags != 1 {
			t.Errorf("%s: flags %d", c.name, one.Flags)
		}
	}
	if unrecorded := ParseTrace(parent[:54]+"0", "").Child(); unrecorded.Flags != 0 {
		t.Errorf("a child of a trace that is not recorded has flags %d", unrecorded.Flags)
	}
}
