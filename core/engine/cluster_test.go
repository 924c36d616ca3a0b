package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func unshare(services ...string) core.Command {
	c := share(services...)
	c.Verb = core.Withdraw
	return c
}

func disown(channel string) core.Command {
	return core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b(channel)}
}

// sorted returns what was said in an order of its own.
func sorted(said string) string {
	all := strings.Split(said, "; ")
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// pair returns two nodes and a connection to each.
func pair(t testing.TB) (w *wire, x, y *link) {
	w = newWire(t, 2)
	for _, n := range w.nodes {
		n.strict = true
	}
	return w, w.nodes[0].site(core.Endpoint{TopicPrefix: "in/"}).connect(0), w.nodes[1].site(core.Endpoint{TopicPrefix: "in/"}).connect(0)
}

func (w *wire) end(t *testing.T, all ...*link) {
	t.Helper()
	for _, l := range all {
		l.gone(false)
	}
	w.announce()
	for _, n := range w.nodes {
		wantEmpty(t, n.engine)
		if len(n.interest)+len(n.services) > 0 {
			t.Errorf("%s: left with the others: %v, %v", n.id, n.interest, n.services)
		}
	}
	if len(w.channels) > 0 {
		t.Errorf("left: channels %v", w.channels)
	}
}

// A message reaches those who hear it on other nodes, once, and never comes back.
func TestClusterPublish(t *testing.T) {
	w, x, y := pair(t)
	x.do(sub("a/b"))
	y.do(sub("a/b"), subPattern("a/+u"), subPattern("#"), subPattern("x/#/y"))
	z := y.site.connect(0)
	z.do(subPattern("a/+other"))
	w.announce()
	for _, i := range []core.Interest{{Name: "in/a/b"}, {Name: "a/+", Prefix: "in/", Pattern: true}, {Name: "#", Prefix: "in/", Pattern: true}} {
		if !w.nodes[1].interest[i] || len(w.nodes[1].interest) != 3 {
			t.Errorf("no interest in %v, or in more than three: %v", i, w.nodes[1].interest)
		}
	}
	c := pub("a/b", "m")
	c.Headers = b("h")
	wants(t, "the publisher", x.do(c), "done publish a/b; message a/b =m headers h")
	w.pump()
	wants(t, "who hears it thrice", y.said(), "message a/b =m headers h")
	wants(t, "who hears a pattern", z.said(), "message a/b =m headers h")
	wants(t, "nobody hears it", x.do(pub("nobody", "m")), "done publish nobody")
	if n := w.nodes[1].published; n != 0 {
		t.Errorf("the other node passed on %d messages", n)
	}
	y.gone(false)
	w.announce()
	if n := len(w.nodes[1].interest); n != 1 {
		t.Errorf("%d interests when one is left: %v", n, w.nodes[1].interest)
	}
	w.end(t, x, z)
}

// What a Go program publishes through an endpoint goes to the other nodes too.
func TestClusterPublisher(t *testing.T) {
	w, x, y := pair(t)
	y.do(sub("t"))
	w.announce()
	if f := x.site.w.engine.Publisher(x.site.Endpoint).Publish(b("t"), text("m")); f.Failed() {
		t.Fatal(f)
	}
	w.pump()
	wants(t, "on the other node", y.said(), "message t =m")
	w.end(t, x, y)
}

// A call is answered on another node if nobody here offers the service; it ends in all the ways
// in which calls end.
func TestClusterCall(t *testing.T) {
	w, x, y := pair(t)
	there := w.nodes[1].engine
	wants(t, "nobody", x.do(ask("s", "q")), "failed call s@7 #r no_service")
	y.do(share("s"))
	w.announce()
	wants(t, "the call", x.do(ask("s", "q")), "done call s@7 #r")
	w.pump()
	id := y.asked()
	if n := w.nodes[0].engine.Calls() + 10*there.Calls(); n != 1 {
		t.Errorf("%d calls wait here and %d there, want one where it was made", n%10, n/10)
	}
	wants(t, "the request", y.said(), "request s =q")
	w.nodes[0].engine.Answered("stranger", id, core.Outcome{Answer: text("forged")})
	w.nodes[0].engine.nodeOf("stranger")
	w.nodes[0].engine.Answered("stranger", id, core.Outcome{Answer: text("forged")})
	y.message(reply(id, "a"))
	w.pump()
	wants(t, "the answer", x.said(), "answer s@7 #r =a")
	w.nodes[0].engine.Answered(w.nodes[1].id, id, core.Outcome{Answer: text("late")})
	if n := len(w.nodes[0].cancelled); n > 0 {
		t.Errorf("%d answered calls were cancelled", n)
	}

	x.message(ask("s", "q"))
	w.pump()
	c := reply(y.asked(), "")
	c.Failure = core.Failure{Code: "own", Text: "no"}
	y.message(c)
	w.pump()
	wants(t, "a failure of its own", x.said(), "done call s@7 #r; failed call s@7 #r own")
	wantCount(t, &x.site.Stats.CallsFailed, core.ReasonAnswerer, 1)

	// The caller's time is up: the answerer learns of it.
	x.message(ask("s", "q"))
	w.pump()
	id = y.asked()
	w.nodes[0].pass(2 * time.Minute)
	wants(t, "time-out", x.said(), "done call s@7 #r; failed call s@7 #r timeout")
	if there.calls.size() != 0 {
		t.Error("the other node still waits for the answer")
	}
	y.said()
	wants(t, "too late", y.do(reply(id, "a")), "failed reply invalid")

	// The caller leaves.
	z := x.site.connect(0)
	z.message(ask("s", "q"))
	w.pump()
	z.gone(false)
	if there.calls.size() != 0 {
		t.Error("the other node still waits for the answer")
	}
	// A one-way call.
	c = ask("s", "q")
	c.OneWay = true
	y.said()
	x.message(c)
	w.pump()
	wants(t, "one-way", y.said(), "request s =q one-way")
	x.said()

	// The backplane cannot pass it on.
	w.nodes[0].askFails = core.Failure{Code: core.Unreachable}
	x.message(ask("s", "q"))
	w.pump()
	wants(t, "not passed on", x.said(), "done call s@7 #r; failed call s@7 #r unreachable")
	wantCount(t, &x.site.Stats.CallsFailed, core.ReasonUnavailable, 1)
	w.nodes[0].askFails = core.Failure{}

	// The answerer is slow, and leaves.
	y.room = 1
	x.message(ask("s", "q"))
	w.pump()
	wants(t, "slow", x.said(), "done call s@7 #r; failed call s@7 #r overloaded")
	wantCount(t, &x.site.Stats.CallsFailed, core.ReasonOverload, 1)
	y2 := y.site.connect(0)
	y2.do(share("s"))
	for range 2 {
		x.message(ask("s", "q"))
	}
	w.pump()
	wants(t, "another one is not", y2.said(), "request s =q; request s =q")
	y2.gone(false)
	w.pump()
	x.said()
	if n := there.Calls(); n != 0 {
		t.Errorf("%d calls wait there", n)
	}
	y.room = 0
	x.message(ask("s", "q"))
	w.pump()
	y.gone(false)
	w.pump()
	wants(t, "it left", x.said(), "done call s@7 #r; failed call s@7 #r gone")
	// Its node has not said so yet.
	x.message(ask("s", "q"))
	w.pump()
	wants(t, "nobody any more", x.said(), "done call s@7 #r; failed call s@7 #r no_service")
	w.announce()
	wants(t, "and it is known", x.do(ask("s", "q")), "failed call s@7 #r no_service")
	w.end(t, x)
}

// A node that is gone fails the calls that were put to it, and takes back those that it made.
func TestClusterNodeGone(t *testing.T) {
	w, x, y := pair(t)
	w.nodes[1].silent = true
	y.do(share("s"), own("c", "c/m"))
	y.settled()
	x.do(share("back"))
	w.announce()
	x.message(ask("s", "q"), ask("c/m", "q"))
	y.message(ask("back", "q"))
	w.pump()
	x.said()
	w.nodes[0].engine.Gone(w.nodes[1].id)
	w.pump()
	wants(t, "its calls", sorted(x.said()), "failed call c/m@7 #r gone; failed call s@7 #r gone")
	if n := len(w.nodes[0].cancelled); n != 0 {
		t.Errorf("a node that is gone was told that %d calls are over", n)
	}
	if n := w.nodes[0].engine.calls.size(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
	wants(t, "its services and channels are free", x.do(ask("s", "q"), ask("c/m", "q"), share("c/m")),
		"failed call s@7 #r no_service; failed call c/m@7 #r no_service; done offer")
	w.nodes[0].engine.Gone("never seen")
	w.nodes[1].engine.Gone(w.nodes[0].id)
	w.end(t, x, y)
}

// Connections of the caller's node come before those of other nodes, and these take turns.
func TestClusterNearest(t *testing.T) {
	w := newWire(t, 3)
	var x, y [3]*link
	for i, n := range w.nodes {
		s := n.site(core.Endpoint{})
		x[i], y[i] = s.connect(0), s.connect(0)
		x[i].do(share("s"))
	}
	w.announce()
	heard := func(l *link) int {
		n := len(l.heard)
		l.heard = nil
		return n
	}
	for range 4 {
		y[0].do(ask("s", "q"))
	}
	w.pump()
	if got := [3]int{heard(x[0]), heard(x[1]), heard(x[2])}; got != [3]int{4, 0, 0} {
		t.Errorf("asked %v, want the nearest alone", got)
	}
	x[0].do(unshare("s"))
	x[0].said()
	for range 4 {
		y[0].do(ask("s", "q"))
	}
	w.pump()
	if got := [3]int{heard(x[0]), heard(x[1]), heard(x[2])}; got != [3]int{0, 2, 2} {
		t.Errorf("asked %v, want the others in turn", got)
	}
	// A call that has come from another node goes no further.
	x[1].do(unshare("s"))
	y[0].said()
	for range 2 {
		y[0].do(ask("s", "q"))
	}
	w.pump()
	if got := [3]int{heard(x[0]), heard(x[1]), heard(x[2])}; got != [3]int{0, 0, 1} {
		t.Errorf("asked %v, want one call at the node that has an answerer", got)
	}
	w.end(t, append(x[:], y[:]...)...)
}

// A channel has one owner in the whole cluster, by all rules that hold within one node.
func TestClusterChannel(t *testing.T) {
	w, x, y := pair(t)
	y.message(own("a/c", "a/c/m"))
	wants(t, "owned", y.settled(), "done offer")
	wants(t, "its topics", x.do(pub("a/c/t", "m"), pubAsOwner("a/c", "a/c/t")), "failed publish a/c/t not_owner; failed publish a/c/t not_owner")
	x.message(own("a/c"))
	wants(t, "its channel", x.settled(), "failed offer taken")
	x.message(own("a"), own("a/c/d"), share("a/c/s"))
	wants(t, "around and within it", x.settled(), "failed offer not_owner; failed offer not_owner; failed offer not_owner")
	wants(t, "its service", x.do(ask("a/c/m", "q")), "done call a/c/m@7 #r")
	w.pump()
	wants(t, "is asked", y.said(), "request a/c/m =q")
	wants(t, "no service of it", x.do(ask("a/c/n", "q")), "failed call a/c/n@7 #r no_service")
	y.do(disown("a/c"))
	w.pump()
	x.said()
	x.message(own("a/c"))
	wants(t, "free", x.settled(), "done offer")
	w.end(t, x, y)
}

// A connection that ends, or begins to, while the cluster decides has no channel.
func TestClusterClaimerLeaves(t *testing.T) {
	for _, how := range []string{"gone", "leaving", "gone when it is granted"} {
		t.Run(how, func(t *testing.T) {
			w, x, y := pair(t)
			n := w.nodes[0]
			n.strict, w.nodes[1].strict = false, false // others hold the lock at times
			claiming := make(chan struct{})
			if how == "gone when it is granted" {
				n.granted.Store(&claiming)
			} else {
				n.claiming.Store(&claiming)
			}
			x.message(own("c"), pub("later", "m"))
			<-claiming
			if x.held != 1 {
				t.Errorf("held %d times while the cluster decides", x.held)
			}
			switch how {
			case "gone":
				x.gone(false)
			case "gone when it is granted":
				x.gone(false)
				n.granted.Store(nil)
				claiming <- struct{}{}
			default:
				x.peer.Leaving()
				claiming <- struct{}{}
				for len(n.release()) == 0 {
					x.loop.await()
					n.pump()
				}
				x.gone(false)
			}
			n.claiming.Store(nil)
			// Until the claim has come to its end.
			for {
				y.message(own("c"))
				if y.settled() == "done offer" {
					break
				}
			}
			w.end(t, y)
		})
	}
}

// release returns what the node has released.
func (n *wiredNode) release() []string {
	n.wire.mu.Lock()
	defer n.wire.mu.Unlock()
	return n.released
}

// Who loses what it offers is told, and has it no more.
func TestClusterOfferLost(t *testing.T) {
	w, x, y := pair(t)
	c := own("c", "c/m")
	c.As = 7
	x.message(c)
	x.settled()
	w.lose("in/c")
	wants(t, "its lease ended", x.said(), "offer_lost c@7 unreachable")
	wants(t, "it owns it no more", x.do(pubAsOwner("c", "c/t")), "failed publish c/t not_owner")
	w.nodes[0].engine.Lost("in/c")
	x.message(own("c"))
	wants(t, "it may again", x.settled(), "done offer")
	x.do(disown("c"))

	// The channel is given to another node, which did not know of the services.
	x.do(share("d/s"), sub("$serve/d/t"), share("other"))
	z := x.site.connect(0)
	z.do(share("d/s", "d", "d0"))
	x.said()
	z.said()
	y.message(own("d"))
	y.settled()
	w.pump()
	wants(t, "shared", sorted(x.said()), `message $serve/d/t ={"code":"taken","text":"the channel or service has an owner"}; offer_lost d/s taken`)
	wants(t, "shared by another", sorted(z.said()), "offer_lost d taken; offer_lost d/s taken")
	wants(t, "and not offered again", x.do(share("d/s")), "failed offer not_owner")
	w.announce()
	x.do(unshare("d/s", "other"))
	w.end(t, x, y, z)
}

// Who owns something by a lease that is over publishes in no channel of its own, also before it is
// told that it has lost it: another one may have it already.
func TestClusterStaleOwner(t *testing.T) {
	w, x, y := pair(t)
	x.message(own("c"))
	x.settled()
	y.do(sub("c/t"), sub("t"))
	w.announce()
	wants(t, "the owner", x.do(pubAsOwner("c", "c/t"), pub("c/t", "m")), "done publish c/t; done publish c/t")
	w.pump()
	y.said()
	w.nodes[0].expired.Store(true)
	wants(t, "its lease is over", x.do(pubAsOwner("c", "c/t"), pub("c/t", "m"), pub("t", "m"), pubAsOwner("c", "t")),
		"failed publish c/t not_owner; failed publish c/t not_owner; done publish t; failed publish t not_owner")
	w.pump()
	wants(t, "the other node", y.said(), "message t =m")
	w.nodes[0].expired.Store(false)
	wants(t, "it has another lease", x.do(pubAsOwner("c", "c/t")), "done publish c/t")
	x.do(disown("c"))
	w.end(t, x, y)
}

// What other nodes say of services does not outdo what is owned.
func TestClusterServedWithin(t *testing.T) {
	w, x, y := pair(t)
	y.message(own("c"))
	y.settled()
	there := w.nodes[1].engine
	there.Served("third", []core.Service{{Name: "in/c/s", On: true}, {Name: "in/s", On: true}, {Name: "in/s", On: true}})
	wants(t, "within the channel", y.do(ask("c/s", "q")), "failed call c/s@7 #r no_service")
	there.Served("third", []core.Service{{Name: "in/c/s"}, {Name: "in/s"}, {Name: "in/s"}})
	there.Gone("third")
	w.end(t, x, y)
}

// An id that is in use is refused, and so are calls of strangers that nobody answers.
func TestClusterForgedCalls(t *testing.T) {
	w, x, y := pair(t)
	y.do(share("s"))
	w.announce()
	x.message(ask("s", "q"))
	w.pump()
	id := y.asked()
	there := w.nodes[1].engine
	there.Asked("stranger", core.Question{Call: id, Service: b("in/s"), Payload: text("forged")})
	there.Cancelled("stranger", id)
	y.said()
	y.message(reply(id, "a"))
	w.pump()
	wants(t, "the true answer", x.said(), "done call s@7 #r; answer s@7 #r =a")
	there.Gone("stranger")
	w.end(t, x, y)
}

// However often something begins and ends between two announcements, what is announced is what
// has changed.
func TestChanges(t *testing.T) {
	const things = 8
	c, now, told := make(changes[int]), [things]bool{}, [things]bool{}
	for range 20_000 {
		if k := rand.IntN(things + 1); k < things {
			now[k] = !now[k]
			c.note(k, now[k])
			continue
		}
		for k, begins := range c {
			if told[k] == begins {
				t.Fatalf("%d is told again to be %v", k, begins)
			}
			told[k] = begins
		}
		if c = make(changes[int]); told != now {
			t.Fatalf("told %v, is %v", told, now)
		}
	}
}

// Nodes come and go, and offer and own as they like: what is found is what a plain model says.
func TestClusterModel(t *testing.T) {
	w := newWorldOf(t, 1, &wiredNode{t: t, wire: newWire(t, 0), interest: make(map[core.Interest]bool), services: make(map[string]bool)})
	e := w.engine
	here := w.site(core.Endpoint{}).connect(0)
	nodes := []core.NodeID{"a", "b", "c"}
	names := []string{"x", "x/y", "x/y/z", "x0", "y"}
	type fact struct {
		by   core.NodeID
		name string
	}
	offered, local := map[fact]bool{}, map[string]bool{}
	for i := range 5000 {
		f := fact{nodes[rand.IntN(len(nodes))], names[rand.IntN(len(names))]}
		switch rand.IntN(6) {
		case 0, 1:
			e.Served(f.by, []core.Service{{Name: f.name, On: true}})
			offered[f] = true
		case 2:
			e.Served(f.by, []core.Service{{Name: f.name}})
			delete(offered, f)
		case 3:
			here.do(share(f.name))
			local[f.name] = true
		case 4:
			here.do(unshare(f.name))
			delete(local, f.name)
		case 5:
			e.Gone(f.by)
			for o := range offered {
				if o.by == f.by {
					delete(offered, o)
				}
			}
		}
		for _, name := range names {
			far := 0
			for o := range offered {
				if o.name == name {
					far++
				}
			}
			got, found := e.offerOf(b(name), false)
			_, foundHere := e.offerOf(b(name), true)
			switch {
			case found != (far > 0 || local[name]), foundHere != local[name]:
				t.Fatalf("step %d: %q is found: %v, here: %v; offered here: %v, there by %d", i, name, found, foundHere, local[name], far)
			case found && got.owner.here() != local[name]:
				t.Fatalf("step %d: %q is answered here: %v", i, name, !local[name])
			case found && !local[name] && got.others != far-1:
				t.Fatalf("step %d: %q has %d others, want %d", i, name, got.others, far-1)
			}
		}
		here.said()
	}
	for _, n := range nodes {
		e.Gone(n)
	}
	here.gone(false)
	e.Announce()
	wantEmpty(t, e)
}

// A claim that cannot be decided is refused, and so is one of which the cluster says too late that
// the channel has an owner; what follows is carried out.
func TestClusterUndecided(t *testing.T) {
	w, x, y := pair(t)
	x.do(share("c/s"))
	x.said()
	n := w.nodes[0]
	n.claimFails = core.Failure{Code: core.Unreachable, Text: "JetStream at 10.0.0.1 does not answer"}
	x.message(own("d"), sub("after"))
	x.settle()
	if got := x.heard[0].Failure; got != refusedUndecided.Failure {
		t.Errorf("told %v", got)
	}
	wants(t, "in order", x.said(), "failed offer unreachable; done subscribe after")
	wantCount(t, &x.site.Stats.Refused, core.ReasonUnavailable, 1)
	n.claimFails = core.Failure{Code: core.Taken, Text: "by node b"}
	x.message(own("d"))
	x.settle()
	if got := x.heard[0].Failure; got != refusedTaken.Failure {
		t.Errorf("told %v", got)
	}
	x.said()
	w.end(t, x, y)
}

// What is lost and what is given back at the same time does not harm each other.
func TestClusterLostMeanwhile(t *testing.T) {
	w, x, y := pair(t)
	there := w.nodes[0].engine
	x.do(own("c"))
	x.settle()
	x.said()
	w.take("in/c")
	there.Lost("in/c")
	x.message(disown("c")) // before it hears of it
	wants(t, "a channel", x.settled(), "done withdraw")
	there.Owned("third", core.Claim{Channel: "in/d"})
	there.Lost("in/d")
	x.do(own("d"))
	wants(t, "of another node, not lost", x.settled(), "")
	there.Freed("third", "in/d")

	x.do(share("e/s", "e/t"))
	there.Owned("third", core.Claim{Channel: "in/e"})
	x.message(unshare("e/s"))
	there.Freed("third", "in/e")
	x.message(share("e/t"))
	w.pump()
	wants(t, "shared anew before it is told", x.said(), "done withdraw; done offer")
	y.do(ask("e/t", "q"))
	w.announce()
	wants(t, "and asked", y.do(ask("e/t", "q")), "done call e/t@7 #r")
	w.pump()
	wants(t, "once", x.said(), "request e/t =q")
	x.do(unshare("e/t"))
	there.Gone("third")
	w.end(t, x, y)
}

// What the cluster gives is given, whatever this node has.
func TestClusterGives(t *testing.T) {
	w, x, y := pair(t)
	there := w.nodes[0].engine
	x.do(own("a/b"), own("c"))
	x.settle()
	x.said()
	there.Owned("third", core.Claim{Channel: "in/a"})
	there.Owned("third", core.Claim{Channel: "in/c/d"})
	there.Owned("fourth", core.Claim{Channel: "in/c/d", Services: []string{"", "m"}})
	w.take("in/a/b")
	w.take("in/c")
	w.pump()
	wants(t, "lost", sorted(x.said()), "offer_lost a/b taken; offer_lost c taken")
	wants(t, "not its own", x.do(pub("a/b", "m"), pub("c/d/e", "m"), pub("c/e", "m")),
		"failed publish a/b not_owner; failed publish c/d/e not_owner; done publish c/e")
	// A call of another node does not go on to the owner of the channel.
	there.Asked(w.nodes[1].id, core.Question{Call: core.CallID{1}, Service: b("in/c/d/m")})
	if len(w.nodes[0].asked) > 0 {
		t.Error("a call of another node went on to a third one")
	}
	there.Freed("third", "in/c/d") // it has it no more
	there.Gone("third")
	wants(t, "the other one's", x.do(pub("c/d", "m"), pub("a", "m")), "failed publish c/d not_owner; done publish a")
	there.Gone("fourth")
	w.end(t, x, y)
}

// A node that has just gone has no calls any more.
func TestClusterGoneCalls(t *testing.T) {
	w, x, y := pair(t)
	y.do(share("s"))
	e := w.nodes[1].engine
	n := e.nodeOf("third")
	e.Gone("third")
	if r := n.call(core.Question{Call: core.CallID{1}, Service: b("in/s")}); r != refusedLeft {
		t.Errorf("its call: %v", r)
	}
	w.end(t, x, y)
}
