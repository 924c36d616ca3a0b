package nats

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

func TestTopics(t *testing.T) {
	s := subjects{"pw"}
	for topic, want := range map[string]string{
		"a":                "pw.t.a",
		"a/b/c":            "pw.t.a.b.c",
		"":                 "pw.t.%",
		"/":                "pw.t.%.%",
		"a//b":             "pw.t.a.%.b",
		"a/":               "pw.t.a.%",
		"$sys/x":           "pw.t.$sys.x",
		"a b":              "pw.t.a%20b",
		"1.5":              "pw.t.1%2E5",
		"*/>":              "pw.t.%2A.%3E",
		"100%":             "pw.t.100%25",
		"%":                "pw.t.%25",
		"+/#":              "pw.t.+.#",
		"Grüße/世界":         "pw.t.Grüße.世界",
		"a\x00\r\n\t\x7fb": "pw.t.a%00%0D%0A%09%7Fb",
	} {
		if got := string(s.topic(nil, []byte(topic))); got != want {
			t.Errorf("the subject of %q is %q, want %q", topic, got, want)
		}
		if got, ok := s.topicOf(nil, want); !ok || string(got) != topic {
			t.Errorf("the topic of %q is %q, %v, want %q", want, got, ok, topic)
		}
	}
}

// A subject that no topic has is refused: two subjects would be one topic, and who hears the one
// would not hear the other.
func TestForeignSubjects(t *testing.T) {
	s := subjects{"pw"}
	for _, subject := range []string{
		"pw.t.", "pw.t", "pw.t.a..b", "pw.t.a.", "pw.t..a", "pw.t.%2", "pw.t.a%", "pw.t.%2e", "pw.t.%41", "pw.t.%GG", "pw.t.a/b", "pw.t.%2F",
		"pw.s.a", "other.t.a", "", "pw.t.a b", "pw.t.*", "pw.t.>", "pw.t.a\x00", "pw.t.%%", "pw.t.%.%2",
	} {
		if topic, ok := s.topicOf(nil, subject); ok {
			t.Errorf("%q is the topic %q", subject, topic)
		}
	}
}

func TestInterestSubjects(t *testing.T) {
	s := subjects{"pw"}
	for _, c := range []struct {
		name, prefix string
		pattern      bool
		want         string // empty for none
	}{
		{"a/b", "", false, "pw.t.a.b"},
		{"a/+", "", false, "pw.t.a.+"},
		{"a/b", "", true, "pw.t.a.b"},
		{"a//b", "", true, "pw.t.a.%.b"},
		{"a/b", "x/", true, "pw.t.x.a.b"},
		{"a/+", "", true, "pw.t.a.*"},
		{"+/b", "", true, "pw.t.*.b"},
		{"a/#", "", true, "pw.t.a.>"},
		{"#", "", true, "pw.t.>"},
		{"a//+", "", true, "pw.t.a.*.*"},
		{"+/", "", true, "pw.t.*.*"},
		{"a/#/b", "", true, ""},
		{"a b/+", "", true, "pw.t.a%20b.*"},
		{"+", "x/", true, "pw.t.x.*"},
		{"#", "x/", true, "pw.t.x.>"},
		{"#", "x//", true, "pw.t.x.%.>"},
		{"+/b", "x/y", true, "pw.t.x.*.b"},
		{"#", "x/y", true, "pw.t.x.>"},
		{"#", "x", true, "pw.t.>"},
		{"a/+", "x/y", true, "pw.t.x.ya.*"},
		{"/+", "x/y", true, "pw.t.x.*.*"},
		{"/+", "x/", true, "pw.t.x.*.*"},
		{"+/#", "+/", true, "pw.t.+.*.>"},
	} {
		got, ok := s.interest(core.Interest{Name: c.name, Prefix: c.prefix, Pattern: c.pattern})
		if ok != (c.want != "") || got != c.want {
			t.Errorf("the subject of %q after %q is %q, %v, want %q", c.name, c.prefix, got, ok, c.want)
		}
	}
}

// covers reports whether a subscription gets a subject, as NATS has it.
func covers(subscription, subject string) bool {
	want, got := strings.Split(subscription, "."), strings.Split(subject, ".")
	for i, w := range want {
		if i == len(got) {
			return false
		}
		if w == ">" {
			return true
		}
		if w != "*" && w != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}

// FuzzTopics: every topic has one subject that NATS takes, and comes back from it.
func FuzzTopics(f *testing.F) {
	for _, seed := range []string{"", "a/b", "a//", "%", "a.b/*/>", " \t\r\n\x00", "$call/x", "Ä/\xff"} {
		f.Add(seed)
	}
	s := subjects{"pw"}
	f.Fuzz(func(t *testing.T, topic string) {
		subject := string(s.topic(nil, []byte(topic)))
		if strings.ContainsAny(subject, " \t\r\n\x00*>") || strings.Contains(subject, "..") || strings.HasSuffix(subject, ".") {
			t.Errorf("%q has the subject %q", topic, subject)
		}
		if back, ok := s.topicOf(nil, subject); !ok || string(back) != topic {
			t.Errorf("%q comes back as %q, %v", topic, back, ok)
		}
	})
}

// FuzzTopicOf: a subject that anybody may have used is one topic's, or refused.
func FuzzTopicOf(f *testing.F) {
	for _, seed := range []string{"pw.t.a.b", "pw.t.%2E", "pw.t.%2e", "pw.t.%", "pw.t..", "pw.s.x", "pw.t.a%20b"} {
		f.Add(seed)
	}
	s := subjects{"pw"}
	f.Fuzz(func(t *testing.T, subject string) {
		topic, ok := s.topicOf(nil, subject)
		if ok && string(s.topic(nil, topic)) != subject {
			t.Errorf("%q and %q are one topic", subject, s.topic(nil, topic))
		}
	})
}

// FuzzInterest: a subscription is at least as wide as the pattern.
func FuzzInterest(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "a/+", "b"}, {"x", "#", "y/z"}, {"x/y", "+/b", "q/b"}, {"x/", "/+", "a/b"}, {"a", "b//+", "b/c/d"}, {"$", "+", "a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	s := subjects{"pw"}
	f.Fuzz(func(t *testing.T, prefix, pattern, rest string) {
		subscription, ok := s.interest(core.Interest{Name: pattern, Prefix: prefix, Pattern: true})
		if !core.MatchPattern(pattern, []byte(rest)) || !utf8.ValidString(rest) {
			return
		}
		if subject := string(s.topic(nil, []byte(prefix+rest))); !ok || !covers(subscription, subject) {
			t.Errorf("%q after %q is the subscription %q, which misses %q", pattern, prefix, subscription, subject)
		}
	})
}

func TestChannelKeys(t *testing.T) {
	for channel, want := range map[string]string{
		"": "c.=", "a": "c.a", "a/b": "c.a/b", "a b": "c.a=20b", "a.b": "c.a=2Eb", "=": "c.=3D", "ü": "c.=C3=BC", "/": "c./", "a-_Z9": "c.a-_Z9",
	} {
		if got := channelKey(channel); got != want {
			t.Errorf("the key of %q is %q, want %q", channel, got, want)
		}
	}
	for _, key := range []string{"", "c", "c.", "c.=4", "c.=41", "c.=zz", "lease.x", "c.a.b", "c.a b", "c.=="} {
		if channel, ok := channelOf(key); ok {
			t.Errorf("%q is the key of %q", key, channel)
		}
	}
}

func FuzzChannelKeys(f *testing.F) {
	f.Add("a/b c", "c.a=20b")
	f.Add("", "c.=")
	f.Fuzz(func(t *testing.T, channel, key string) {
		if back, ok := channelOf(channelKey(channel)); !ok || back != channel {
			t.Errorf("%q comes back as %q, %v", channel, back, ok)
		}
		if channel, ok := channelOf(key); ok && channelKey(channel) != key {
			t.Errorf("%q and %q are one channel", key, channelKey(channel))
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add(" a\r\nb% ")
	f.Add("%41")
	f.Fuzz(func(t *testing.T, text string) {
		value := escapeText(text)
		if strings.ContainsAny(value, "\r\n\x00") || strings.TrimSpace(value) != value && utf8.ValidString(text) && isASCII(text) {
			t.Errorf("%q is written as %q", text, value)
		}
		if back := unescapeText(value); back != text {
			t.Errorf("%q comes back as %q", text, back)
		}
		unescapeText(text)
	})
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 }
