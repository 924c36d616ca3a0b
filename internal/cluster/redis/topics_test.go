package redis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// A pattern of Redis has all topics that ours has.
func TestGlobs(t *testing.T) {
	patterns := []core.Interest{
		{Name: "a/+"},
		{Name: "a/#"},
		{Name: "#"},
		{Name: "+"},
		{Name: "+/b"},
		{Name: "a//+"},
		{Name: "/+"},
		{Name: "/#"},
		{Name: "+x/b"},
		{Name: "a/#x"},
		{Name: "+/*/?"},
		{Name: `a\b/+`},
		{Name: "[a]/+"},
		{Name: "[^a-c]/#"},
		{Name: "+", Prefix: "a*/"},
		{Name: "#", Prefix: "a/b"},
		{Name: "#/a"},
		{Name: "+/"},
	}
	topics := []string{
		"", "a", "b", "a/", "a/b", "a/b/c", "a//b", "/", "/a", "//", "$a", "$a/b", "x/*/?", "x/y/z", `a\b/c`, "ab/c", "[a]/x", "[^a-c]/y", "a*/b", "ax/b", "*", "?", "a*",
		"ü/b", "😀", "/b", "a/b/",
	}
	srv := startRedis(t).client(t)
	for _, i := range patterns {
		i.Pattern = true
		glob, ok := globOf(i)
		sub := srv.PSubscribe(t.Context(), glob, "never")
		for range 2 {
			if _, err := sub.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, topic := range topics {
			ours := strings.HasPrefix(topic, i.Prefix) && core.MatchPattern(i.Name, []byte(topic[len(i.Prefix):]))
			if !ok {
				if ours {
					t.Errorf("%+v matches %q, but nothing is asked for", i, topic)
				}
				continue
			}
			n, err := srv.Publish(t.Context(), topic, "x").Result()
			if err != nil {
				t.Fatal(err)
			}
			theirs := globMatch(glob, []byte(topic))
			if (n > 0) != theirs && topic != "" {
				t.Errorf("Redis says %v to whether %q matches %q, we say %v", n > 0, glob, topic, theirs)
			}
			if ours && !theirs {
				t.Errorf("%q, of %+v, does not match %q", glob, i, topic)
			}
		}
		_ = sub.Close()
	}
}

// Of the copies of a message one counts, also while subscriptions come and go.
func TestCopies(t *testing.T) {
	c := newCopies()
	do := func(kind, name string) { c.confirmed(&push{kind: kind, channel: []byte(name)}) }
	counts := func(pattern string) bool {
		p := push{kind: "pmessage", pattern: []byte(pattern), channel: []byte("a/b")}
		if pattern == "" {
			p.kind = "message"
		}
		return c.counts(&p)
	}
	for n, step := range []struct {
		kind, name string
		copies     []string // the subscriptions that match
		want       string
	}{
		{"psubscribe", "a/*", []string{"a/*"}, "a/*"},
		{"psubscribe", "a/?*", []string{"a/?*", "a/*"}, "a/*"},
		{"psubscribe", "x/*", []string{"a/?*", "a/*"}, "a/*"},
		{"subscribe", "a/b", []string{"", "a/*", "a/?*"}, ""},
		{"punsubscribe", "a/*", []string{"", "a/?*"}, ""},
		{"unsubscribe", "a/b", []string{"a/?*"}, "a/?*"},
		{"psubscribe", "a/*", []string{"a/*", "a/?*"}, "a/?*"},
		{"psubscribe", "a/*", []string{"a/*", "a/?*"}, "a/?*"},
		{"punsubscribe", "a/?*", []string{"a/*"}, "a/*"},
		{"punsubscribe", "never", []string{"a/*"}, "a/*"},
	} {
		do(step.kind, step.name)
		var counted []string
		for _, pattern := range step.copies {
			if counts(pattern) {
				counted = append(counted, pattern)
			}
		}
		if fmt.Sprint(counted) != fmt.Sprint([]string{step.want}) {
			t.Errorf("after step %d, %q count of %q", n, counted, step.copies)
		}
	}
}
