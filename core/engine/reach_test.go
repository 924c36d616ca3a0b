package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// Reach says who hears a topic at all endpoints, who owns what it lies in, and what is taken from nobody, and
// publishes nothing.
func TestReach(t *testing.T) {
	w := newWorld(t, 2)
	bare, prefixed := core.Endpoint{Name: "bare"}, core.Endpoint{Name: "in", TopicPrefix: "in/"}
	s, in := w.site(bare), w.site(prefixed)
	x, y, z := s.connect(0), s.connect(1), in.connect(0)
	x.do(sub("in/a"), subPattern("in/+"))
	y.do(sub("in/a"), own("in"))
	z.do(sub("a"), subPattern("+"))
	x.settled()
	for _, c := range []struct {
		ep    core.Endpoint
		topic string
	}{{bare, "in/a"}, {prefixed, "a"}} {
		r := w.engine.Reach(&c.ep, c.topic, core.Payload{})
		var got []string
		for _, one := range r.Audiences {
			got = append(got, fmt.Sprintf("%s %s%s %v %d", one.Endpoint.Name, one.Prefix, one.Name, one.Pattern, one.Members))
		}
		slices.Sort(got)
		want := []string{"bare in/+ true 1", "bare in/a false 1", "bare in/a false 1", "in in/+ true 1", "in in/a false 1"}
		if r.Topic != "in/a" || r.Refusal.Failed() || !slices.Equal(got, want) {
			t.Errorf("%s: %+v\n%q\n%q", c.topic, r, got, want)
		}
		if r.Channel != "in" || r.Owner == nil || r.Owner.ID != y.id || r.Owner.Endpoint != "bare" {
			t.Errorf("%s: it is owned by %+v", c.topic, r.Owner)
		}
		for _, one := range r.Audiences {
			if again := w.engine.Heard(one.Interest); len(again) == 0 || again[0].Name != one.Name || again[0].Prefix != one.Prefix {
				t.Errorf("of %+v there are %+v", one.Interest, again)
			}
		}
	}
	for topic, want := range map[string]core.Reason{"$call/1/x": core.ReasonReserved, strings.Repeat("a/", maxLevels): core.ReasonTooDeep, strings.Repeat("a", maxAddress+1): core.ReasonTooLarge} {
		if r := w.engine.Reach(&bare, topic, core.Payload{}); !r.Refusal.Failed() || r.Reason != want {
			t.Errorf("%.10s: %v", topic, r.Reason)
		}
	}
	if r := w.engine.Reach(&bare, "nobody", core.Payload{}); len(r.Audiences) > 0 || r.Owner != nil {
		t.Errorf("%+v", r)
	}
}

// Answerers says who would be asked for a service, here and on other nodes.
func TestAnswerers(t *testing.T) {
	w := newWire(t, 2)
	ep := core.Endpoint{Name: "e"}
	here, there := w.nodes[0].site(ep), w.nodes[1].site(ep)
	x, y := here.connect(0), there.connect(0)
	x.do(share("both"), share("here"))
	y.do(share("both"), share("there"), own("c", "c/d"))
	y.settled()
	w.announce()
	engine := w.nodes[0].engine
	for service, want := range map[string]string{
		"both": fmt.Sprintf("offers %d node1", x.id), "here": fmt.Sprintf("offers %d", x.id), "there": "offers node1",
		"c/d": "owner node1 true", "c/e": "owner node1 false", "nobody": "",
	} {
		a := engine.Answerers(&ep, service)
		var got []string
		for i, o := range a.Offers {
			if i == 0 {
				got = append(got, "offers")
			}
			if o.Node == "" {
				got = append(got, fmt.Sprint(o.ID))
			} else {
				got = append(got, string(o.Node))
			}
		}
		if a.Owner != nil {
			got = append(got, "owner", string(a.Owner.Node), fmt.Sprint(a.Owns))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", service, text, want)
		}
	}
	if r := engine.Reach(&ep, "c/x", core.Payload{}); r.Owner == nil || r.Owner.Node != "node1" {
		t.Errorf("%+v", r)
	}
	var names []string
	engine.ServiceNames(func(some []string) bool {
		names = append(names, some...)
		return true
	})
	slices.Sort(names)
	if want := []string{"both", "c/d", "here", "there"}; !slices.Equal(names, want) {
		t.Errorf("there are %q", names)
	}
}

// All that stays is told, once, while other things come and go; and nobody who subscribes waits for who looks.
func TestInterests(t *testing.T) {
	const n = 5 * lookBatch
	w := newWorld(t, 2)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	for i := range n {
		x.do(sub(fmt.Sprint("stays/", i)))
		if i < 500 {
			x.do(subPattern(fmt.Sprint("stays/", i, "/+")))
		}
	}
	y := s.connect(1)
	looks := func(visit func()) {
		seen := make(map[core.Interest]int)
		w.engine.Interests(func(some []core.Interest) bool {
			if len(some) > lookBatch {
				t.Errorf("%d at once", len(some))
			}
			for _, i := range some {
				seen[i]++
			}
			visit()
			return true
		})
		for i := range n {
			for _, one := range []core.Interest{{Name: fmt.Sprint("stays/", i), On: true}, {Name: fmt.Sprint("stays/", i, "/+"), Pattern: true, On: true}} {
				if seen[one] != 1 && (!one.Pattern || i < 500) {
					t.Fatalf("%+v is told %d times", one, seen[one])
				}
			}
		}
	}
	come := 0
	looks(func() { // under no lock
		for range 100 {
			come++
			y.do(sub(fmt.Sprint("comes/", come)), subPattern(fmt.Sprint("comes/", come%100, "/#")))
		}
		y.do(core.Command{Verb: core.UnsubscribeAll})
	})
	var coming sync.WaitGroup
	done := make(chan struct{})
	coming.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			y.do(sub(fmt.Sprint("comes/", i%1000)), subPattern(fmt.Sprint("comes/", i%100, "/#")))
			if i%1000 == 999 {
				y.do(core.Command{Verb: core.UnsubscribeAll})
			}
		}
	})
	for range 5 {
		looks(func() {})
	}
	close(done)
	coming.Wait()
	calls := 0
	w.engine.Interests(func([]core.Interest) bool {
		calls++
		return false
	})
	if calls != 1 {
		t.Errorf("visit was called %d times after it had enough", calls)
	}
}

// The last different refusals of a connection are remembered, whatever is refused again and again.
func TestRefusedCommands(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	list := func() (got []string) {
		for _, one := range x.peer.Holdings().Refused {
			if one.Last.IsZero() {
				t.Errorf("%+v", one)
			}
			got = append(got, fmt.Sprintf("%v %.20s %v %d", one.Verb, one.Topic, one.Reason, one.Count))
		}
		return got
	}
	if got := list(); got != nil {
		t.Errorf("at first there are %q", got)
	}
	w.pass(time.Second)
	x.do(pub("$serve/a", "1"), pub("$serve/b", "1"), pub("$serve/a", "1"))
	if got, want := list(), []string{"publish $serve/a reserved 2", "publish $serve/b reserved 1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	x.peer.Refused(core.ReasonMalformed, core.Failure{Text: strings.Repeat("x", 1000)})
	for range 100 {
		x.do(pub("$serve/c", "1"), pub("$serve/d", "1"))
	}
	if got, want := list(), []string{"publish $serve/d reserved 100", "publish $serve/c reserved 100", "none  malformed 1", "publish $serve/a reserved 2"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	x.do(pub("$serve/"+strings.Repeat("e", 1000), "1"))
	if one := x.peer.Holdings().Refused[0]; len(one.Topic) != maxRefusedText {
		t.Errorf("of a long topic %d bytes are kept", len(one.Topic))
	}
	if one := x.peer.Holdings().Refused[3]; len(one.Why) != maxRefusedText {
		t.Errorf("of a long text %d bytes are kept", len(one.Why))
	}
	if one := x.peer.WasRefused(core.Publish, "$serve/d"); one.Count != 100 {
		t.Errorf("%+v", one)
	}
	if one := x.peer.WasRefused(core.Subscribe, "$serve/d"); one.Count != 0 {
		t.Errorf("%+v", one)
	}
	if allocs := testing.AllocsPerRun(100, func() { x.peer.(*peer).rare.refused.add(core.Publish, b("$serve/d"), refusedReserved) }); allocs > 0 {
		t.Errorf("what is refused again allocates %v times", allocs)
	}
}
