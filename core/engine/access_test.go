package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// rules is a core.Access: the rights that it grants, as "user right topic", with a ~
// before patterns.
type rules []string

func (r rules) May(by *core.Identity, right core.Right, topic []byte, pattern bool) bool {
	name := [...]string{"publish", "subscribe", "call", "serve", "publish_owned"}[right]
	mark := ""
	if pattern {
		mark = "~"
	}
	return slices.Contains(r, fmt.Sprintf("%s %s %s%s", by.User(), name, mark, topic))
}

// Every command is judged as what it stands for, under the name that the client
// uses, and refused in the client's own words.
func TestAccess(t *testing.T) {
	const granted = "ann publish ok, ann subscribe ok, ann subscribe ~ok/#, ann call ok, ann serve ok, ann serve ch"
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Access: rules(strings.Split(granted, ", ")), TopicPrefix: "in/", Sessions: sessions.NewMemory()})
	ann, bob := s.connect(0), s.connect(0)
	ann.user = &core.Identity{Subject: "ann"}
	pattern := func(topic string) core.Command {
		c := sub(topic)
		c.Pattern = true
		return c
	}
	for _, c := range []struct {
		name        string
		do          core.Command
		may, mayNot string
	}{
		{"publish", pub("ok", "1"), "done publish ok unheard", "failed publish ok denied"},
		{"publish elsewhere", pub("no", "1"), "failed publish no denied", "failed publish no denied"},
		{"subscribe", sub("ok"), "done subscribe ok", "failed subscribe ok denied"},
		{"subscribe elsewhere", sub("no"), "failed subscribe no denied", "failed subscribe no denied"},
		{"a pattern", pattern("ok/#"), "done subscribe ok/#", "failed subscribe ok/# denied"},
		{"a name that looks like one", sub("ok/#"), "failed subscribe ok/# denied", "failed subscribe ok/# denied"},
		{"unsubscribe", unsub("ok"), "done unsubscribe ok", "done unsubscribe ok"},
		{"serve", share("ok"), "done offer", "failed offer denied"},
		{"serve also what is not granted", share("ok", "no"), "failed offer denied", "failed offer denied"},
		{"own", own("ch"), "done offer", "failed offer denied"},
		{"own another", own("other", "other/ok"), "failed offer denied", "failed offer denied"},
		{"serve by topic", sub("$serve/no"), "failed subscribe $serve/no denied", "failed subscribe $serve/no denied"},
		{"call", ask("ok", "q"), "done call ok@7 #r; request ok =q", "failed call ok@7 #r denied"},
		{"call elsewhere", ask("no", "q"), "failed call no@7 #r denied", "failed call no@7 #r denied"},
		{
			"call by topic", pub("$call/1/no", "q"),
			`done publish $call/1/no; message $error/1 ={"code":"denied","text":""}`,
			`done publish $call/1/no; message $error/1 ={"code":"denied","text":""}`,
		},
		{"ping", core.Command{Verb: core.Ping}, "pong", "pong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wants(t, "ann", ann.do(c.do), c.may)
			wants(t, "bob", bob.do(c.do), c.mayNot)
		})
	}
}

// Who may publish into channels of others still cannot speak as their owner.
func TestAccessToOwnedChannels(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Access: rules{" publish c/t", " publish_owned c/t", " publish c/u", "x serve c"}})
	x, y := s.connect(0), s.connect(0)
	x.user = &core.Identity{Subject: "x"}
	wants(t, "own", x.do(own("c")), "done offer")
	wants(t, "granted", y.do(pub("c/t", "m")), "done publish c/t unheard")
	wants(t, "not granted", y.do(pub("c/u", "m")), "failed publish c/u not_owner")
	wants(t, "as the owner", y.do(pubAsOwner("c", "c/t")), "failed publish c/t not_owner")
}
