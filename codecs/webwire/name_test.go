package webwire

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// Names and topics are one to one: both ways round, every one comes back.
func TestNamesAndTopics(t *testing.T) {
	for _, c := range []struct{ topic, name string }{
		{"", ""},
		{"news/today", "news/today"},
		{" ~", " ~"},
		{"é", "%C3%A9"},
		{"\x00", "%00"},
		{"\x1f\x7f\u0080", "%1F%7F%C2%80"},
		{"�", "%EF%BF%BD"},
		{"😀", "%F0%9F%98%80"},
		{"%", "%"},
		{"%%", "%%"},
		{"%é", "%%C3%A9"},
		{"%25é", "%25%C3%A9"},
		{"%25", "%25"},
		{"%20", "%20"},
		{"%7E", "%7E"},
		{"%7F", "%257F"},
		{"%257F", "%25257F"},
		{"%0a", "%0a"},
		{"%C3", "%C3"},
		{"%C3%A9", "%25C3%A9"},
		{"%C3%25A9", "%C3%25A9"},
		{"%E2%82%AC", "%25E2%82%AC"},
		{"%E2%82é", "%E2%82%C3%A9"},
		{"%ED%A0%80", "%ED%A0%80"},
		{"%F5%80%80%80", "%F5%80%80%80"},
		{"%C0%80", "%C0%80"},
	} {
		if name, err := appendName(nil, []byte(c.topic)); err != nil || string(name) != c.name {
			t.Errorf("topic %q: name %q, %v, want %q", c.topic, name, err, c.name)
		}
		if topic := topicOf([]byte(c.name)); string(topic) != c.topic {
			t.Errorf("name %q: topic %q, want %q", c.name, topic, c.topic)
		}
	}
}

func TestNamesAndTopicsAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"%", "2", "5", "25", "C3", "A9", "%C3", "%A9", "0", "A", "E2", "%82", "%AC", "f", " ", "F0", "%9F", "%98", "%80"}
	more := append([]string{"é", "\n", "😀", "\x7f", "�"}, parts...)
	for range 200_000 {
		requireNameBack(t, []byte(join(random, parts)))
		requireTopicBack(t, []byte(join(random, more)))
	}
}

func FuzzName(f *testing.F) {
	for _, seed := range []string{"news", "%C3%A9", "%25C3%A9", "%2525%C3%A9é", "%\x00\xff", "%F0%9F%98%80"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if isPrintable(text) {
			requireNameBack(t, text)
		}
		if utf8.Valid(text) {
			requireTopicBack(t, text)
		} else if _, err := appendName(nil, text); err == nil {
			t.Fatalf("%q became a name", text)
		}
	})
}

func join(random *rand.Rand, parts []string) string {
	var b strings.Builder
	for range random.IntN(8) {
		b.WriteString(parts[random.IntN(len(parts))])
	}
	return b.String()
}

func requireNameBack(t *testing.T, name []byte) {
	t.Helper()
	topic := topicOf(bytes.Clone(name))
	if !utf8.Valid(topic) {
		t.Fatalf("name %q became the topic %q", name, topic)
	}
	if back, err := appendName(nil, topic); err != nil || !bytes.Equal(back, name) {
		t.Fatalf("name %q became the topic %q and that the name %q, %v", name, topic, back, err)
	}
}

func requireTopicBack(t *testing.T, topic []byte) {
	t.Helper()
	name, err := appendName(nil, topic)
	if err != nil || !isPrintable(name) {
		t.Fatalf("topic %q became the name %q, %v", topic, name, err)
	}
	if back := topicOf(bytes.Clone(name)); !bytes.Equal(back, topic) {
		t.Fatalf("topic %q became the name %q and that the topic %q", topic, name, back)
	}
}
