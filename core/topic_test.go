package core

import (
	"strings"
	"testing"
)

// The rules of docs/formats/vws.md, "Patterns".
func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		rule, pattern string
		matched       []string
		unmatched     []string
	}{
		{"no wildcard: identical", "a/b", []string{"a/b"}, []string{"a", "a/b/", "a/b/c", "A/b", "/a/b", "a/+", ""}},
		{"no wildcard, with empty levels: identical", "a//b", []string{"a//b"}, []string{"a/x/b", "a/b"}},
		{"the empty pattern", "", []string{""}, []string{"a", "/"}},
		{"+ alone", "+", []string{"a", "+", "#"}, []string{"", "a/b", "/", "a/"}},
		{"+ is one level, not empty", "a/+/c", []string{"a/b/c", "a/+/c", "a/#/c"}, []string{"a//c", "a/c", "a/b/b/c", "a/b", "a/b/c/"}},
		{"+ at the end", "a/+", []string{"a/b"}, []string{"a/", "a", "a/b/c", "a/b/"}},
		{"+ at the beginning", "+/b", []string{"a/b"}, []string{"/b", "b", "a/b/c"}},
		{"named +", "a/+user/c", []string{"a/b/c"}, []string{"a//c", "a/c"}},
		{"several +", "+/+", []string{"a/b"}, []string{"a", "a/", "/b", "a/b/c"}},
		{"# alone", "#", []string{"a", "a/b", "/", "a/", "//"}, []string{""}},
		{"# is one or more levels", "a/#", []string{"a/b", "a/b/c", "a/", "a//", "a/#"}, []string{"a", "b/a", "ab/c", ""}},
		{"named #", "a/#rest", []string{"a/b", "a/b/c", "a/"}, []string{"a"}},
		{"# before the end matches nothing", "a/#/c", nil, []string{"a/b/c", "a/#/c", "a/c", "a/b"}},
		{"# before the end, first", "#/c", nil, []string{"a/c", "#/c", "c"}},
		{"# before an empty level", "a/#/", nil, []string{"a/b/", "a/#/", "a/b"}},
		{"+ then #", "+/#", []string{"a/b", "a/b/c", "a/"}, []string{"a", "/b"}},
		{"wildcards inside a level are text", "a+/b#", []string{"a+/b#"}, []string{"ax/b#", "a+/bx", "a+/b"}},
		{"text beside a wildcard", "a+/+", []string{"a+/x"}, []string{"ab/x", "a/x"}},
		{"an empty level matches any, with a wildcard elsewhere", "a//+", []string{"a/x/y", "a//y"}, []string{"a/y", "a/x/", "b/x/y"}},
		{"a leading empty level", "/+", []string{"/a", "x/a"}, []string{"a", "/"}},
		{"a trailing empty level", "+/", []string{"a/", "a/b"}, []string{"a", "/", "a/b/c"}},
		{"$ and a leading +", "+/x", []string{"a/x", "a$/x"}, []string{"$a/x"}},
		{"$ and a leading #", "#", []string{"a/$b"}, []string{"$", "$sys/a"}},
		{"$ and a named leading wildcard", "#all", []string{"a"}, []string{"$a"}},
		{"$ written out", "$a/+", []string{"$a/x"}, []string{"a/x"}},
		{"a later $ means nothing", "a/+", []string{"a/$b"}, nil},
		{"$ and a leading empty level", "/#", []string{"$a/b"}, []string{"$a"}},
		{"case", "Ä/+", []string{"Ä/x"}, []string{"ä/x"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, topic := range c.matched {
				if !MatchPattern(c.pattern, []byte(topic)) {
					t.Errorf("%q does not match %q", c.pattern, topic)
				}
			}
			for _, topic := range c.unmatched {
				if MatchPattern(c.pattern, []byte(topic)) {
					t.Errorf("%q matches %q", c.pattern, topic)
				}
			}
		})
	}
}

func TestHasWildcard(t *testing.T) {
	for pattern, want := range map[string]bool{
		"": false, "a": false, "a/b": false, "a+": false, "a#/b+": false, "/": false, "$a": false,
		"+": true, "#": true, "+a": true, "#a": true, "a/+": true, "a/#": true, "a/+b/c": true, "/+": true, "a//#": true,
	} {
		if got := HasWildcard(pattern); got != want {
			t.Errorf("HasWildcard(%q) = %v, want %v", pattern, got, want)
		}
	}
}

func TestReserved(t *testing.T) {
	for topic, want := range map[string]bool{
		"$call/1/echo": true, "$reply/1": true, "$error/1": true, "$serve/echo": true, "$request/1/echo": true, "$request/": true,
		"": false, "$": false, "$call": false, "$sys": false, "$sys/": false, "$sys/x": false, "$caller/1": false, "$other/1": false, "call/1": false,
		"a/$call/1": false, "$CALL/1": false, " $call/1": false, "$subscribe": false,
	} {
		if got := Reserved([]byte(topic)); got != want {
			t.Errorf("Reserved(%q) = %v, want %v", topic, got, want)
		}
	}
}

func FuzzMatchPattern(f *testing.F) {
	f.Add("a/+/#", "a/b/c")
	f.Add("//+", "a/b/$c")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		matched := MatchPattern(pattern, []byte(topic))
		if !HasWildcard(pattern) && matched != (pattern == topic) {
			t.Errorf("%q and %q without a wildcard: %v", pattern, topic, matched)
		}
		if matched && HasWildcard(pattern) && strings.Count(pattern, "/") > strings.Count(topic, "/") {
			t.Errorf("%q matches %q of fewer levels", pattern, topic)
		}
	})
}
