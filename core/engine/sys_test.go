package engine

import (
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/auth"
)

// allowing returns access lists that allow to publish and serve everything, and to subscribe to some.
func allowing(t *testing.T, topics ...string) core.Access {
	all := auth.Lists{Deny: []core.Template{}}
	acl := &auth.ACL{Publish: all, Call: all, Serve: all, Subscribe: auth.Lists{Allow: []core.Template{}}}
	for _, text := range topics {
		one, err := core.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		acl.Subscribe.Allow = append(acl.Subscribe.Allow, one)
	}
	return auth.NewRules(acl)
}

// Only clients whose lists name them hear the topics of the broker, under their own names, and nobody else speaks there.
func TestSysTopics(t *testing.T) {
	w := newWorld(t, 2)
	before := w.site(core.Endpoint{Name: "before"}).connect(0)
	before.do(sub("$sys/connections/connected"), subPattern("$sys/#"))
	before.said()
	w.engine.TellSys(true)
	named := w.site(core.Endpoint{Name: "named", TopicPrefix: "in/", Access: allowing(t, "$sys/connections/#", "a")})
	all := w.site(core.Endpoint{Name: "all", Access: allowing(t, "#")})
	free := w.site(core.Endpoint{Name: "free", Access: auth.NewRules(nil)})
	none := w.site(core.Endpoint{Name: "none"})
	x, y, z := named.connect(0), named.connect(1), named.connect(0)
	wants(t, "a pattern", x.do(subPattern("$sys/connections/+which")), "done subscribe $sys/connections/+which")
	wants(t, "all of them", y.do(subPattern("$sys/connections/#")), "done subscribe $sys/connections/#")
	wants(t, "a topic", z.do(sub("$sys/connections/connected")), "done subscribe $sys/connections/connected")
	wants(t, "more than is named", x.do(subPattern("$sys/#")), "failed subscribe $sys/# denied")
	wants(t, "what is not named", x.do(sub("$sys/offers/offered")), "failed subscribe $sys/offers/offered denied")
	var others []*link
	for _, s := range []*site{all, free, none} {
		o := s.connect(0)
		wants(t, s.Name, o.do(subPattern("$sys/#"), sub("$sys/connections/connected")), "failed subscribe $sys/# denied; failed subscribe $sys/connections/connected denied")
		// These match every topic but those that begin with $, and every topic of so many levels.
		o.do(subPattern("#"), subPattern("//#"), subPattern("/connections/+"), subPattern("//"))
		o.said()
		others = append(others, o)
	}
	w.engine.Tell(b("$sys/connections/connected"), text("m"))
	w.pump()
	for _, l := range []*link{x, y, z} {
		wants(t, "who may", l.said(), "message $sys/connections/connected =m")
	}
	for _, o := range others {
		wants(t, "who may not: "+o.site.Name, o.said(), "")
		wants(t, "publishing", o.do(pub("$sys/connections/connected", "forged")), "failed publish $sys/connections/connected denied")
		wantCount(t, &o.site.Stats.Refused, core.ReasonReserved, 1)
	}
	if f := w.engine.Publisher(free.Endpoint).Publish(b("$sys/connections/connected"), text("forged")); f.Code != core.Denied {
		t.Errorf("a program publishes there: %v", f)
	}
	wants(t, "who heard topics of such names before", before.said(), "")
	w.engine.Published(b("$sys/connections/connected"), text("forged"), nil)
	w.pump()
	if !x.peer.Hears("$sys/connections/connected") || !z.peer.Hears("$sys/connections/connected") || others[0].peer.Hears("$sys/connections/connected") {
		t.Error("who hears it is not who is said to")
	}
	if h := x.peer.Holdings(); len(h.Patterns) != 1 || h.Patterns[0] != "$sys/connections/+which" {
		t.Errorf("holdings %+v", h)
	}
	wants(t, "who hears what was forged", x.said()+y.said()+z.said(), "")
	before.said()
	x.do(core.Command{Verb: core.Unsubscribe, Topic: b("$sys/connections/+which"), Pattern: true})
	z.do(core.Command{Verb: core.Unsubscribe, Topic: b("$sys/connections/connected")})
	x.said()
	z.said()
	w.engine.Tell(b("$sys/connections/connected"), text("m"))
	w.pump()
	wants(t, "who has unsubscribed", x.said()+z.said(), "")
	wants(t, "who has not", y.said(), "message $sys/connections/connected =m")
	for _, l := range append(others, x, y, z, before) {
		l.gone(false)
	}
	wantEmpty(t, w.engine)
	if w.engine.sys.size != 0 {
		t.Errorf("%d patterns of the broker's topics are left", w.engine.sys.size)
	}
}

// Each node of a cluster tells of its own clients alone.
func TestSysTopicsInCluster(t *testing.T) {
	w, x, y := pair(t)
	x.site.Access = allowing(t, "$sys/#")
	for _, n := range w.nodes {
		n.engine.TellSys(true)
	}
	wants(t, "subscribing", x.do(subPattern("$sys/#"), sub("$sys/a")), "done subscribe $sys/#; done subscribe $sys/a")
	w.announce()
	for i := range w.nodes[0].interest {
		t.Errorf("other nodes are asked for %v", i)
	}
	w.nodes[1].engine.Tell(b("$sys/a"), text("m"))
	w.pump()
	wants(t, "what happens at another node", x.said(), "")
	w.end(t, x, y)
}
