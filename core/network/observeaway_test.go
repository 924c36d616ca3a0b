package network

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// onlooker is core.Observer.
type onlooker struct {
	moment core.Moment // which it wants

	mu   sync.Mutex
	seen []core.Observation
}

func (o *onlooker) Wants(m core.Moment) bool { return m == o.moment }

func (o *onlooker) Observe(x *core.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, *x)
}

func (o *onlooker) all() []core.Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]core.Observation(nil), o.seen...)
}

// Who is turned away is shown to who observes that, with the endpoint if it is known, and to nobody else.
func TestObserveTurnedAway(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Path = "/chat" })
	away, others := &onlooker{moment: core.MomentTurnedAway}, &onlooker{moment: core.MomentRefused}
	for _, o := range []core.Observer{others, away} {
		r.Observe(o)
		now := time.Now()
		r.logRefusal("chat", "192.0.2.1:9", refusal{reason: core.ReasonOrigin, why: "no"})
		r.logRefusal("chat", "192.0.2.1:9", refusal{reason: core.ReasonLost})
		r.observeAway("", "192.0.2.2:9", refusal{reason: core.ReasonHandshake, why: "what?"}, now)
	}
	r.Observe(nil)
	r.logRefusal("chat", "192.0.2.1:9", refusal{reason: core.ReasonDenied, why: "no"})
	if n := len(others.all()); n != 0 {
		t.Errorf("who does not observe it has seen %d", n)
	}
	got := away.all()
	if len(got) != 2 || got[0].Endpoint != r.eps["chat"].Endpoint.Endpoint || got[0].Remote != "192.0.2.1:9" || got[0].Reason != core.ReasonOrigin || got[0].Text != "no" ||
		got[1].Endpoint != nil || got[1].Reason != core.ReasonHandshake {
		t.Errorf("seen: %+v", got)
	}
}

// Of an endpoint and a reason one is shown in a second, with how many there were since the last one.
func TestTurnedAwayTooOften(t *testing.T) {
	var w awayWatch
	now := time.Now()
	a, b, c := awayKey{"a", core.ReasonOrigin}, awayKey{"b", core.ReasonOrigin}, awayKey{"a", core.ReasonDenied}
	text := ""
	for _, at := range []time.Duration{0, time.Millisecond, awayPause - 1, awayPause, awayPause + 1, 3 * awayPause} {
		for _, key := range []awayKey{a, b, c, a} {
			if leftOut, show := w.take(key, now.Add(at)); show {
				text += fmt.Sprintf("%s %s %d; ", key.endpoint, key.reason, leftOut)
			}
		}
	}
	want := "a origin 0; b origin 0; a denied 0; " + "a origin 5; b origin 2; a denied 2; " + "a origin 3; b origin 1; a denied 1; "
	if text != want {
		t.Errorf("shown\n%s, want\n%s", text, want)
	}
}

// A client that is turned away by the door is shown.
func TestObserveAtTheDoor(t *testing.T) {
	r := start(t, nil)
	away := &onlooker{moment: core.MomentTurnedAway}
	r.Observe(away)
	c := r.dialTCP("chat")
	c.write([]byte("nonsense\r\n\r\n"))
	coretest.Eventually(t, "it is shown", func() bool { return len(away.all()) == 1 })
	if x := away.all()[0]; x.Remote != c.LocalAddr().String() || x.Endpoint != nil {
		t.Errorf("%+v", x)
	}
}
