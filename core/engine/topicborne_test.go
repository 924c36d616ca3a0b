package engine

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func unsub(topic string) core.Command {
	return core.Command{Verb: core.Unsubscribe, Topic: b(topic)}
}

// requested returns the id of the last request that l heard by topic, as it is written.
func (l *link) requested() string {
	l.site.w.t.Helper()
	for _, ev := range slices.Backward(l.heard) {
		if rest, found := bytes.CutPrefix(ev.Topic, b("$request/")); found {
			id, _, _ := strings.Cut(string(rest), "/")
			return id
		}
	}
	l.site.w.t.Fatal("no request was heard by topic")
	return ""
}

// Callers and servers, by topic and not, in all four combinations.
func TestTopicBorneCall(t *testing.T) {
	for _, c := range []struct {
		name           string
		asks, serves   bool // by topic
		taken, request string
		answer         string
		failure        string
	}{
		{
			"both", true, true, "done publish $call/1/t/s@3 #r", "message $request/ID/a/t/s =q", "message $reply/1 =a",
			`message $error/1 ={"code":"mine","text":"why"}`,
		},
		{
			"the caller", true, false, "done publish $call/1/t/s@3 #r", "request a/t/s =q", "message $reply/1 =a",
			`message $error/1 ={"code":"mine","text":"why"}`,
		},
		{"the server", false, true, "done call t/s@7 #r", "message $request/ID/a/t/s =q", "answer t/s@7 #r =a", "failed call t/s@7 #r mine"},
		{"neither", false, false, "done call t/s@7 #r", "request a/t/s =q", "answer t/s@7 #r =a", "failed call t/s@7 #r mine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			callers, servers := w.site(core.Endpoint{TopicPrefix: "a/"}), w.site(core.Endpoint{})
			x, y, z := callers.connect(0), servers.connect(1), callers.connect(0)
			if c.serves {
				wants(t, "serve", y.do(sub("$serve/a/t/s")), "done subscribe $serve/a/t/s")
			} else {
				wants(t, "serve", y.do(share("a/t/s")), "done offer")
			}
			question := ask("t/s", "q")
			if c.asks {
				question = pub("$call/1/t/s", "q")
				question.Ref, question.As = b("r"), 3
				// As wubsub and stocking publish.
				question.AsOwner, question.Channel, question.NotToSelf = true, b("$call"), true
			}
			for _, fails := range []bool{false, true} {
				x.message(question)
				wants(t, "taken", x.said(), c.taken)
				w.pump()
				id := ""
				if c.serves {
					id = y.requested()
					if parsed, ok := core.ParseCallID(b(id)); !ok || string(parsed.Append(nil)) != id {
						t.Errorf("the id is written as %q", id)
					}
				} else {
					id = string(y.asked().Append(nil))
				}
				wants(t, "asked", y.said(), strings.Replace(c.request, "ID", id, 1))
				if fails {
					failure := pub("$error/"+id, `{"code":"mine","text":"why"}`)
					failure.Ref, failure.AsOwner, failure.Channel = b("e"), true, b("$error")
					wants(t, "fail", y.do(failure), "done publish $error/"+id+" #e")
					wants(t, "failed", x.said(), c.failure)
					continue
				}
				wants(t, "answer", y.do(pub("$reply/"+strings.ToUpper(id), "a")), "done publish $reply/"+strings.ToUpper(id))
				wants(t, "answered", x.said(), c.answer)
				wants(t, "a second answer", y.do(pub("$reply/"+id, "a")), "failed publish $reply/"+id+" invalid")
			}
			wants(t, "nobody else hears of it", z.said(), "")
			wantCount(t, &callers.Stats.CallsFailed, core.ReasonAnswerer, 1)
			wantCount(t, &servers.Stats.Refused, core.ReasonNotAsked, 1)
			if calls, published := callers.Stats.Calls.Load(), callers.Stats.Published.Load(); calls != 2 || published != 0 {
				t.Errorf("counted %d calls and %d publishes, want 2 and 0", calls, published)
			}
			y.gone(false)
			wantEmpty(t, w.engine)
		})
	}
}

// Every end of a call reaches its caller by topic.
func TestTopicBorneCallEnds(t *testing.T) {
	for _, c := range []struct {
		name    string
		service string
		end     func(w *world, server *link)
		code    string
		reason  core.Reason
	}{
		{"nobody answers", "nobody", nil, "no_service", core.ReasonNoService},
		{"too many levels", strings.Repeat("/", maxLevels), nil, "invalid", core.ReasonTooDeep},
		{"timeout", "s", func(w *world, _ *link) { w.pass(2 * defaultTimeout) }, "timeout", core.ReasonTimeout},
		{"gone", "s", func(_ *world, server *link) { server.gone(false) }, "gone", core.ReasonGone},
		{"shutdown", "s", func(w *world, _ *link) { w.engine.Close() }, "shutdown", core.ReasonDrain},
		{"a plain text", "s", func(_ *world, server *link) { server.do(pub("$error/"+server.requested(), "no")) }, "error", core.ReasonAnswerer},
		{"the broker's code", "s", func(_ *world, server *link) {
			server.do(pub("$error/"+server.requested(), `{"code":"denied"}`))
		}, "denied", core.ReasonDenied},
		{"handler", "go", func(w *world, _ *link) { w.engine.drainHandlers() }, "mine", core.ReasonAnswerer},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := w.site(core.Endpoint{})
			w.engine.Handle("go", func(context.Context, core.Invocation) (core.Payload, error) {
				return core.Payload{}, core.Failure{Code: "mine"}
			})
			x, y := s.connect(0), s.connect(0)
			y.do(sub("$serve/s"))
			x.message(pub("$call/1/"+c.service, "q"))
			if c.end != nil {
				wants(t, "taken", x.said(), "done publish $call/1/"+c.service)
				w.pump()
				c.end(w, y)
			}
			w.pump()
			failed := `message $error/1 ={"code":"` + c.code + `"`
			got := x.said()
			if c.end == nil {
				failed = "done publish $call/1/" + c.service + "; " + failed
			}
			if !strings.HasPrefix(got, failed) || strings.Count(got, ";") != strings.Count(failed, ";") {
				t.Errorf("told %s\nwant %s,…", got, failed)
			}
			count := &s.Stats.CallsFailed
			if c.reason == core.ReasonTooDeep {
				count = &s.Stats.Refused
			}
			wantCount(t, count, c.reason, 1)
			y.gone(false)
			wantEmpty(t, w.engine)
		})
	}
}

// The caller that leaves cancels its call.
func TestTopicBorneCallerGone(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(sub("$serve/s"))
	x.do(pub("$call/1/s", "q"))
	id := y.requested()
	y.said()
	x.gone(false)
	wants(t, "a late answer", y.do(pub("$reply/"+id, "a")), "failed publish $reply/"+id+" invalid")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonGone, 1)
	wantCount(t, &s.Stats.Refused, core.ReasonNotAsked, 1)
}

func TestTopicBorneRefusals(t *testing.T) {
	noRef := func(ref string) string {
		return "message $error/" + ref + ` ={"code":"invalid","text":"a call is published to $call/<ref>/<service>"}`
	}
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y, z := s.connect(0), s.connect(0), s.connect(0)
	y.do(sub("$serve/s"), own("c", "c/m"))
	x.do(pub("$call/1/s", "q"))
	id := y.requested()
	wildcards := sub("$serve/#x")
	long := strings.Repeat("r", maxTopicRef)
	for _, c := range []struct {
		name    string
		link    *link
		command core.Command
		want    string
		reason  core.Reason
	}{
		{"no service", x, pub("$call/x", "q"), "failed publish $call/x invalid; " + noRef("x"), core.ReasonMalformed},
		{"an empty service", x, pub("$call/x/", "q"), "failed publish $call/x/ invalid; " + noRef("x"), core.ReasonMalformed},
		{"no ref", x, pub("$call//s", "q"), "failed publish $call//s invalid", core.ReasonMalformed},
		{"nothing", x, pub("$call/", "q"), "failed publish $call/ invalid", core.ReasonMalformed},
		{"a long ref", x, pub("$call/r"+long+"/s", "q"), "failed publish $call/r" + long + "/s invalid; " + noRef("r"+long), core.ReasonMalformed},
		{
			"a forged id", z, pub("$reply/00112233-4455-4677-8899-aabbccddeeff", "a"),
			"failed publish $reply/00112233-4455-4677-8899-aabbccddeeff invalid", core.ReasonNotAsked,
		},
		{
			"the nil id", z, pub("$reply/00000000-0000-0000-0000-000000000000", "a"),
			"failed publish $reply/00000000-0000-0000-0000-000000000000 invalid", core.ReasonNotAsked,
		},
		{"no id", z, pub("$error/1", "a"), "failed publish $error/1 invalid", core.ReasonNotAsked},
		{"a very long id", z, pub("$reply/"+long, "a"), "failed publish $reply/" + long + " invalid", core.ReasonNotAsked},
		{"who was not asked", z, pub("$reply/"+id, "a"), "failed publish $reply/" + id + " invalid", core.ReasonNotAsked},
		{"the caller itself", x, pub("$error/"+id, "a"), "failed publish $error/" + id + " invalid", core.ReasonNotAsked},
		{"serve a pattern", z, subPattern("$serve/+/s"), "failed subscribe $serve/+/s invalid", core.ReasonMalformed},
		{"serve nothing", z, sub("$serve/"), "failed subscribe $serve/ invalid", core.ReasonMalformed},
		{"serve what is owned", z, sub("$serve/c/m"), "failed subscribe $serve/c/m taken", core.ReasonTaken},
		{"serve the broker's", z, sub("$serve/$call/x"), "failed subscribe $serve/$call/x denied", core.ReasonReserved},
		{"hear requests of others", z, subPattern("$request/#"), "failed subscribe $request/# denied", core.ReasonReserved},
		{"make a request", z, pub("$request/"+id+"/s", "q"), "failed publish $request/" + id + "/s denied", core.ReasonReserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.Stats.Refused[c.reason].Load()
			wants(t, "refused", c.link.do(c.command), c.want)
			wantCount(t, &s.Stats.Refused, c.reason, before+1)
		})
	}
	wants(t, "nothing of it came through", z.said()+x.said(), "")
	wants(t, "the call is still there", y.do(pub("$reply/"+id, "a")), "message $request/"+id+"/s =q; done publish $reply/"+id)
	wants(t, "answered", x.said(), "message $reply/1 =a")
	wants(t, "what looks like a pattern may be a name", z.do(wildcards), "done subscribe $serve/#x")
	wants(t, "the longest ref", x.do(pub("$call/"+long+"/#x", "q"))[:12], "done publish")
	z.do(pub("$error/"+z.requested(), `{"code":"mine","text":"t"}`))
	wants(t, "the longest ref", x.said(), "message $error/"+long+` ={"code":"mine","text":"t"}`)
}

// Subscriptions to $serve take turns with offers, and end like subscriptions.
func TestServeByTopic(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{TopicPrefix: "t/"})
	x, y, z := s.connect(0), s.connect(0), s.connect(0)
	asks := func(l *link, what, want string) {
		t.Helper()
		l.said()
		x.do(ask("s", "q"))
		x.said()
		var got []string
		for _, ev := range l.heard {
			got = append(got, ev.Kind.String())
		}
		l.heard = nil
		wants(t, what, strings.Join(got, " "), want)
	}
	y.do(sub("$serve/s"), sub("$serve/s"), subPattern("$serve/s2"))
	z.do(share("s"))
	y.said()
	for range 2 {
		x.do(ask("s", "q"))
	}
	if len(y.heard) != 1 || len(z.heard) != 1 {
		t.Errorf("two calls: one was asked %d times, the other %d", len(y.heard), len(z.heard))
	}
	z.gone(false)
	asks(y, "served by topic", "message")
	y.do(share("s"))
	asks(y, "offered anew in the language", "request")
	y.do(sub("$serve/s"))
	asks(y, "and by topic again", "message")
	wants(t, "unsubscribe", y.do(unsub("$serve/s")), "done unsubscribe $serve/s")
	asks(y, "withdrawn", "")
	wants(t, "unsubscribe again", y.do(unsub("$serve/s")), "done unsubscribe $serve/s")
	wants(t, "what cannot be", y.do(unsub("$serve/")), "done unsubscribe $serve/")

	y.do(sub("$serve/s"), share("kept"))
	y.said()
	wants(t, "unsubscribe all", y.do(core.Command{Verb: core.UnsubscribeAll}), "done unsubscribe_all")
	asks(y, "withdrawn by that", "")
	if w.engine.services["t/s2"] != nil || w.engine.services["t/kept"] == nil {
		t.Error("unsubscribe all withdraws what was offered by topic, and nothing else")
	}
	y.do(sub("$serve/s"))
	x.do(pub("$call/1/s", "q"))
	x.said()
	y.gone(false)
	w.pump()
	if got := x.said(); !strings.HasPrefix(got, `message $error/1 ={"code":"gone"`) {
		t.Errorf("the server left: %s", got)
	}
	wantEmpty(t, w.engine)
}

// A one-way request comes with the nil UUID.
func TestOneWayByTopic(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(sub("$serve/s"))
	y.said()
	c := ask("s", "q")
	c.OneWay = true
	x.do(c)
	wants(t, "asked", y.said(), "message $request/00000000-0000-0000-0000-000000000000/s =q one-way")
}

// An authorizer judges what a topic stands for; a denied call ends like any other.
func TestAuthorizeTopicBorne(t *testing.T) {
	w := newWorld(t, 1)
	g := newGuard()
	s := w.site(core.Endpoint{Authorizer: g})
	x, free := s.connect(0), w.site(core.Endpoint{}).connect(0)
	free.do(sub("$serve/f"))
	free.said()
	judged := func(c core.Command, v core.Verdict) core.Command {
		c.Source = b("as it was written")
		x.message(c)
		seen := <-g.asked
		g.say <- v
		x.settle()
		if string(seen.Source) != "as it was written" {
			t.Errorf("%v: the source is %q", seen.Verb, seen.Source)
		}
		return seen
	}
	call := judged(pub("$call/1/f", "q"), core.Deny)
	if call.Verb != core.Call || string(call.Topic) != "f" || string(call.Payload.Data) != "q" {
		t.Errorf("a call is judged as %v %s", call.Verb, call.Topic)
	}
	wants(t, "denied", x.said(), `done publish $call/1/f; message $error/1 ={"code":"denied","text":""}`)
	wants(t, "denied", free.said(), "")
	wantCount(t, &s.Stats.Refused, core.ReasonDenied, 1)

	judged(pub("$call/1/f", "q"), core.Allow)
	id := free.requested()
	wants(t, "allowed", x.said(), "done publish $call/1/f")
	free.do(pub("$reply/"+id, "a"))
	x.said()

	offer := judged(sub("$serve/s"), core.Allow)
	if offer.Verb != core.Offer || len(offer.Services) != 1 || string(offer.Services[0]) != "s" {
		t.Errorf("an offer is judged as %v %s", offer.Verb, offer.Services)
	}
	free.do(ask("s", "q"))
	id = x.requested()
	x.said()
	if c := judged(pub("$reply/"+id, "a"), core.Deny); c.Verb != core.Reply || string(c.Call.Append(nil)) != id {
		t.Errorf("a reply is judged as %v %x", c.Verb, c.Call)
	}
	wants(t, "a denied reply", x.said(), "failed publish $reply/"+id+" denied")
	if c := judged(pub("$error/"+id, "no"), core.Allow); c.Verb != core.Reply || c.Failure != (core.Failure{Code: core.AnswererError, Text: "no"}) {
		t.Errorf("an error is judged as %v %v", c.Verb, c.Failure)
	}
	if c := judged(unsub("$serve/s"), core.Deny); c.Verb != core.Withdraw {
		t.Errorf("a withdrawal is judged as %v", c.Verb)
	}
	x.said()
	if c := judged(pub("$call/1", "q"), core.Deny); c.Verb != core.Publish {
		t.Errorf("nonsense is judged as %v", c.Verb)
	}
	wants(t, "denied nonsense", x.said(), `failed publish $call/1 denied; message $error/1 ={"code":"denied","text":""}`)
}

// An answer that cannot be written for its caller is a failure; nobody is told of anything else that cannot.
func TestUnwrittenAnswer(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	x.peer.Unwritten(core.AnswerByTopic(b("1"), core.Payload{Kind: core.JSON, Data: b("1")}))
	w.pump()
	wants(t, "the caller", x.said(), `message $error/1 ={"code":"internal","text":"the answer cannot be written in the caller's format"}`)
	for _, ev := range []core.Event{
		core.FailureByTopic(b("1"), core.Failure{Code: core.Gone}),
		{Kind: core.Message, Topic: b("news/today")},
		{Kind: core.Failed, Verb: core.Publish, Topic: b("$reply/1")},
	} {
		x.peer.Unwritten(ev)
	}
	w.pump()
	wants(t, "of others", x.said(), "")
}
