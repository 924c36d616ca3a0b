package admin

import (
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
)

// A subscription that was perhaps meant for the topic is near it, and others are not.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		name, topic string
		pattern     bool
		want        string // "" is not near
	}{
		{"news/today", "news/today", false, ""},
		{"NEWS/today", "news/today", false, "case"},
		{"/news/today", "news/today", false, "slash"},
		{"news//today", "news/today", false, "slash"},
		{"news.today", "news/today", false, "separator"},
		{"news:today", "news/today", false, "separator"},
		{"news/+", "news/today", false, "wildcard"},
		{"news/#", "news/today/x", false, "wildcard"},
		{"news/*", "news/today", false, "wildcard"},
		{"*/today", "news/today", false, "wildcard"},
		{"news/today/x", "news/today", false, "level"},
		{"eu/news/today", "news/today", false, "level"},
		{"news", "news/today", false, "level"},
		{"news/today/x/y", "news/today", false, ""},
		{"news/tody", "news/today", false, "spelling"},
		{"news/toady", "news/today", false, "spelling"},
		{"abcd", "news", false, ""},
		{"a", "b", false, ""},
		{"weather/today", "news/today", false, ""},
		{"", "news/today", false, ""},
		{"news/+", "news/today", true, ""},
		{"News/+", "news/today", true, "case"},
		{"news/+", "news/today/", true, "slash"},
		{"news/+/", "news/today", true, "slash"},
		{"+/x", "$sys/x", true, "wildcard"},
		{"#", "$sys/x", true, "wildcard"},
		{"#/", "news/today", true, "wildcard"},
		{"news/#/x", "other/today", true, ""},
		{"news/#", "news", true, "level"},
		{"news/+/+", "news/today", true, "level"},
		{"news/+", "news/today/x", true, "level"},
		{"newz/+", "news/today", true, "spelling"},
		{"newz/#", "news/today/x/y", true, "spelling"},
		{"weather/+", "news/today", true, ""},
		{"+/+/+/+", "news/today", true, ""},
	} {
		n, ok := newWanted(c.topic).near(core.Interest{Name: c.name, Pattern: c.pattern})
		if ok != (c.want != "") || n.how != c.want || ok && n.why == "" {
			t.Errorf("%q (%v) and %q: %+v, want %q", c.name, c.pattern, c.topic, n, c.want)
		}
	}
	if n, ok := newWanted("in/news/today").near(core.Interest{Name: "News/+", Prefix: "in/", Pattern: true}); !ok || n.how != "case" {
		t.Errorf("with a prefix: %+v", n)
	}
	if n, ok := newWanted("news/today").near(core.Interest{Name: "News/+", Prefix: "in/", Pattern: true}); ok {
		t.Errorf("with another prefix: %+v", n)
	}
}

// Of many subscriptions the nearest are told, in the same order whatever the order in which they come.
func TestNearest(t *testing.T) {
	var l nearest
	for i := range 1000 {
		n := i * 7 % 1000
		l.add(core.Interest{Name: fmt.Sprintf("n%03d", 999-n)}, nearness{distance: n})
	}
	l.cut()
	if len(l) != maxNear || l[0].Name != "n999" || l[maxNear-1].Name != fmt.Sprintf("n%03d", 1000-maxNear) || cap(l) > 4*maxNear {
		t.Errorf("%d of %d: %+v", len(l), cap(l), l)
	}
}
