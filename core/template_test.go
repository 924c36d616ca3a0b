package core

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func parsed(t testing.TB, text string) Template {
	t.Helper()
	tpl, err := ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestParseTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"":            "is empty",
		"a/#/b":       "# has no place but the last level",
		"#/":          "# has no place but the last level",
		"a//+":        "an empty level beside a wildcard",
		"/#":          "an empty level beside a wildcard",
		"a/{b":        "a claim is written {name}",
		"a/{b/c}":     "a claim is written {name}",
		"{}":          "a claim is written {name}",
		"{a{b}}":      "a claim is written {name}",
		"a}":          "} without {",
		"{a}}":        "} without {",
		"+{a}":        "a wildcard takes the whole level",
		"#{a}":        "a wildcard takes the whole level",
		"a/#":         "",
		"+":           "",
		"+user/#rest": "",
		"a//b":        "",
		"/":           "",
		"a+/b#":       "",
		"x{a}y{b}/#":  "",
	} {
		t.Run(text, func(t *testing.T) {
			tpl, err := ParseTemplate(text)
			switch {
			case want == "" && (err != nil || tpl.String() != text):
				t.Errorf("got %q, %v", tpl.String(), err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
}

// ann is somebody with claims of every kind.
var ann = &Identity{Subject: "ann", Claims: map[string]any{
	"sub": "other", "n": json.Number("17"), "yes": true, "no": false, "empty": "", "null": nil,
	"path": "eu/west", "plus": "+", "hash": "#", "dollar": "$sys", "slash": "a/",
	"rooms": []any{"red", "", json.Number("2"), "a/b", map[string]any{}, "+"}, "none": []any{}, "object": map[string]any{"a": "b"},
}}

func TestTemplateMatch(t *testing.T) {
	for _, c := range []struct {
		template, topic string
		want            bool
	}{
		{"users/{subject}/#", "users/ann/a/b", true},
		{"users/{subject}/#", "users/ann/", true},
		{"users/{subject}/#", "users/ann", false},
		{"users/{subject}/#", "users/anna/x", false},
		{"users/{subject}/#", "users/bob/x", false},
		{"users/{sub}", "users/other", true},
		{"u-{n}-{yes}-{no}", "u-17-true-false", true},
		{"a/{path}/b", "a/eu/west/b", true},
		{"a/{path}/b", "a/eu/b", false},
		{"a/{plus}", "a/+", true},
		{"a/{plus}", "a/x", false},
		{"a/{hash}", "a/#", true},
		{"a/{hash}", "a/x", false},
		{"a/{hash}", "a/x/y", false},
		{"a/{slash}/b", "a/a//b", true},
		{"a/{slash}/b", "a/a/b", false},
		{"r/{rooms}", "r/red", true},
		{"r/{rooms}", "r/2", true},
		{"r/{rooms}/+", "r/a/b/c", true},
		{"r/{rooms}", "r/+", true},
		{"r/{rooms}", "r/blue", false},
		{"r/{rooms}", "r/", false},
		{"r/{rooms}{rooms}", "r/redred", true},
		{"r/{rooms}{rooms}", "r/red2", true},
		{"{dollar}/x", "$sys/x", false},
		{"$sys/{subject}", "$sys/ann", true},
		{"+/x", "$sys/x", false},
		{"#", "$sys/x", false},
		{"#", "", false},
		{"a/{empty}#", "a/", false},
		{"a/{empty}", "a/", false},
		{"a/{null}", "a/", false},
		{"a/{missing}", "a/", false},
		{"a/{none}", "a/", false},
		{"a/{object}", "a/b", false},
	} {
		t.Run(c.template+" "+c.topic, func(t *testing.T) {
			tpl := parsed(t, c.template)
			if got := tpl.Match(ann, []byte(c.topic)); got != c.want {
				t.Errorf("got %t", got)
			}
			if strings.Contains(c.template, "{") && tpl.Match(nil, []byte(c.topic)) {
				t.Error("matches for nobody")
			}
		})
	}
}

func TestTemplateContains(t *testing.T) {
	for _, c := range []struct {
		template, pattern  string
		contains, overlaps bool
	}{
		{"users/{subject}/#", "users/ann/#", true, true},
		{"users/{subject}/#", "users/ann/+/x", true, true},
		{"users/{subject}/#", "users/+/x", false, true},
		{"users/{subject}/#", "#", false, true},
		{"users/{subject}/#", "users/bob/#", false, false},
		{"users/{subject}/#", "users/ann/x", true, true},
		{"a/{plus}", "a/+", false, true}, // the value + is no wildcard
		{"a/{hash}", "a/#", false, true},
		{"a/{path}/+", "a/eu/west/+", true, true},
		{"a/{path}/+", "a/eu/+/+", false, true},
		{"r/{rooms}/#", "r/red/#", true, true},
		{"r/{rooms}/#", "r/blue/#", false, false},
		{"r/{missing}/#", "r/#", false, false},
		{"+/+", "a/+", true, true},
		{"+/+", "#", false, true},
		{"+/+", "+/+/+", false, false},
		{"+/+", "a//+", false, false},
		{"+/+", "/+", false, true}, // an empty level of a client's pattern is any
		{"#", "/+", false, true},
		{"#", "#", true, true},
		{"#", "+/#", true, true},
		{"#", "$sys/#", false, false},
		{"$sys/#", "#", false, false},
		{"$sys/#", "/#", false, true},
		{"{dollar}/#", "$sys/#", false, false},
		{"a/#", "a/#/b", true, true},
		{"a/#", "a/+name/#rest", true, true},
		{"a//b", "a/+/b", false, false},
		{"a/b", "a/+", false, true},
	} {
		t.Run(c.template+" "+c.pattern, func(t *testing.T) {
			tpl := parsed(t, c.template)
			if got := tpl.Contains(ann, c.pattern); got != c.contains {
				t.Errorf("contains: %t", got)
			}
			if got := tpl.Overlaps(ann, c.pattern); got != c.overlaps {
				t.Errorf("overlaps: %t", got)
			}
		})
	}
}

// With too many ways to fill in a template, nothing is allowed and everything is denied.
func TestTemplateWithLongLists(t *testing.T) {
	var many []any
	for range 100 {
		many = append(many, "x")
	}
	by := &Identity{Claims: map[string]any{"a": many}}
	tpl := parsed(t, "{a}/{a}/y/#")
	if tpl.Contains(by, "x/x/z/#") || !tpl.Overlaps(by, "x/x/z/#") {
		t.Error("10000 fillings were looked at")
	}
}

// addresses returns all addresses of one to n of the levels.
func addresses(levels []string, n int) []string {
	all := levels
	for last := levels; n > 1; n-- {
		var next []string
		for _, a := range last {
			for _, l := range levels {
				next = append(next, a+"/"+l)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// What holds for a pattern holds for every topic that it matches.
func TestTemplateAgainstTopics(t *testing.T) {
	topics := addresses([]string{"", "a", "+", "$s"}, 4)
	patterns := addresses([]string{"", "a", "+", "#", "$s"}, 3)
	matched := make([][]string, len(patterns))
	for i, p := range patterns {
		for _, topic := range topics {
			if MatchPattern(p, []byte(topic)) {
				matched[i] = append(matched[i], topic)
			}
		}
	}
	users := []*Identity{nil}
	for _, v := range []any{"a", "+", "#", "a/a", "a/", "/", "$s", []any{"a", "+"}} {
		users = append(users, &Identity{Claims: map[string]any{"c": v}})
	}
	for _, text := range addresses([]string{"a", "", "+", "#", "$s", "{c}", "{c}{c}"}, 3) {
		tpl, err := ParseTemplate(text)
		if err != nil {
			continue
		}
		for _, by := range users {
			for i, p := range patterns {
				contains, overlaps := tpl.Contains(by, p), tpl.Overlaps(by, p)
				for _, topic := range matched[i] {
					switch match := tpl.Match(by, []byte(topic)); {
					case contains && !match:
						t.Fatalf("%s for %v contains %s, but does not match %s", text, by, p, topic)
					case !overlaps && match:
						t.Fatalf("%s for %v does not overlap %s, but matches %s", text, by, p, topic)
					}
				}
			}
		}
		if !strings.Contains(text, "{") {
			for _, topic := range topics {
				if want := MatchPattern(text, []byte(topic)); tpl.Match(nil, []byte(topic)) != want {
					t.Fatalf("%s matches %s: not %t", text, topic, want)
				}
			}
		}
	}
}

// A template with several lists matches what it matches with some choice of their values.
func TestLists(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	matched := 0
	for range 20_000 {
		lists := map[string][]any{}
		by := &Identity{Subject: pick("a", "ab"), Claims: map[string]any{}}
		for _, name := range []string{"g", "h"} {
			for range random.IntN(4) {
				lists[name] = append(lists[name], pick("", "a", "aa", "ab", "b", "a/b", "/"))
			}
			by.Claims[name] = lists[name]
		}
		text := pick("{g}", "a{g}", "{g}/", "+/{h}")
		for range random.IntN(3) {
			text += pick("{g}", "{h}", "{subject}", "a", "/x", "/+/{g}")
		}
		text += pick("", "", "/#", "/+")
		template, err := ParseTemplate(text)
		if err != nil {
			continue
		}
		topic := ""
		for range random.IntN(8) {
			topic += pick("a", "a", "b", "/", "x")
		}
		want := false
		for _, parts := range choices(template.parts, by) {
			want = want || (&Template{parts: parts, wild: template.wild}).Match(nil, []byte(topic))
		}
		if got := template.Match(by, []byte(topic)); got != want {
			t.Fatalf("%s with %v matches %q: %v, want %v", text, by.Claims, topic, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 20 {
		t.Errorf("only %d matched", matched)
	}
}

// choices returns the parts with each choice of values for their claims.
func choices(parts []part, by *Identity) [][]part {
	for i, p := range parts {
		if p.kind != claim {
			continue
		}
		values, ok := by.value(p.text).([]any)
		if !ok {
			values = []any{by.value(p.text)}
		}
		var all [][]part
		for _, v := range values {
			if text := valueText(v); text != "" {
				with := slices.Concat(parts[:i], []part{{text: text}}, parts[i+1:])
				all = append(all, choices(with, by)...)
			}
		}
		return all
	}
	return [][]part{parts}
}
