package engine

import (
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func TestLimits(t *testing.T) {
	deep := core.Payload{Kind: core.JSON, Data: []byte(`{"a":[[1]]}`)}
	flat := core.Payload{Kind: core.JSON, Data: []byte(`{"a":[1]}`)}
	deepText := core.Payload{Kind: core.Text, Data: []byte(`[[[1]]]`)}
	bracketText := core.Payload{Kind: core.Text, Data: []byte(`[[[ not JSON`)}
	limits := core.Limits{TopicLength: 8, TopicDepth: 3, Subscriptions: 2, JSONDepth: 2}
	tests := []struct {
		name    string
		command core.Command
		reason  core.Reason // NumReasons: it is taken
	}{
		{"short topic", core.Command{Verb: core.Publish, Topic: []byte("12345678"), Payload: flat}, core.NumReasons},
		{"long topic", core.Command{Verb: core.Publish, Topic: []byte("123456789")}, core.ReasonTooLarge},
		{"long pattern", core.Command{Verb: core.Subscribe, Topic: []byte("12345/+/#"), Pattern: true}, core.ReasonTooLarge},
		{"shallow topic", core.Command{Verb: core.Publish, Topic: []byte("a/b/c")}, core.NumReasons},
		{"deep topic", core.Command{Verb: core.Publish, Topic: []byte("a/b/c/d")}, core.ReasonTooDeep},
		{"deep pattern", core.Command{Verb: core.Subscribe, Topic: []byte("a/+/c/#"), Pattern: true}, core.ReasonTooDeep},
		{"deep service", core.Command{Verb: core.Call, Topic: []byte("a/b/c/d")}, core.ReasonTooDeep},
		{"deep offer", core.Command{Verb: core.Offer, Services: [][]byte{[]byte("a/b/c/d")}}, core.ReasonTooDeep},
		{"deep service by topic", core.Command{Verb: core.Subscribe, Topic: []byte("$serve/a/b/c/d")}, core.ReasonTooLarge},
		{"flat payload", core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: flat}, core.NumReasons},
		{"deep payload", core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: deep}, core.ReasonTooDeep},
		{"deep payload of a call", core.Command{Verb: core.Call, Topic: []byte("s"), Payload: deep}, core.ReasonTooDeep},
		{"deep payload of a reply that nobody waits for", core.Command{Verb: core.Reply, Payload: deep}, core.ReasonNotAsked},
		{"deep JSON in a text", core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: deepText}, core.ReasonTooDeep},
		{"a text that is no JSON", core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: bracketText}, core.NumReasons},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := w.site(core.Endpoint{Limits: core.NewLiveLimits(limits)})
			x := s.connect(0)
			x.do(tt.command)
			w.pump()
			want := uint64(1)
			if tt.reason == core.NumReasons {
				want = 0
			}
			var refused uint64
			for r := range core.NumReasons {
				refused += s.Stats.Refused[r].Load()
			}
			if refused != want || want > 0 && s.Stats.Refused[tt.reason].Load() != 1 {
				t.Errorf("%d refusals, want %d as %s", refused, want, tt.reason)
			}
		})
	}
}

// TestSubscriptionLimit: the third subscription is refused until there is room, or the
// limit is lifted; what is there stays when it is lowered.
func TestSubscriptionLimit(t *testing.T) {
	w := newWorld(t, 1)
	live := core.NewLiveLimits(core.Limits{Subscriptions: 2})
	s := w.site(core.Endpoint{Limits: live})
	x := s.connect(0)
	refused := s.Stats.Refused[core.ReasonOverload].Load
	sub := func(topic string, want uint64) {
		t.Helper()
		x.do(core.Command{Verb: core.Subscribe, Topic: []byte(topic)})
		if got := refused(); got != want {
			t.Fatalf("subscribing to %s: %d refusals, want %d", topic, got, want)
		}
	}
	sub("a", 0)
	sub("b", 0)
	sub("c", 1)
	sub("a", 1) // is there already
	x.do(core.Command{Verb: core.Unsubscribe, Topic: []byte("a")})
	sub("c", 1)
	live.Set(core.Limits{})
	sub("d", 1)
	live.Set(core.Limits{Subscriptions: 1})
	sub("e", 2)
	if got := w.engine.Topics(); got != 3 {
		t.Errorf("%d topics are heard, want 3", got)
	}
}

// TestPublisherLimits: HTTP publishers are bound by the limits of their endpoint.
func TestPublisherLimits(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{JSONDepth: 3})})
	p := w.engine.Publisher(s.Endpoint)
	for depth, want := range map[int]core.Code{3: "", 4: core.Invalid} {
		data := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if f := p.Publish([]byte("t"), core.Payload{Kind: core.JSON, Data: []byte(data)}); f.Code != want {
			t.Errorf("depth %d: %v", depth, f)
		}
	}
}

// TestAnswerTooDeep: an answer that may not be given on ends its call, and both sides learn
// why.
func TestAnswerTooDeep(t *testing.T) {
	for name, reply := range map[string]func(id core.CallID, payload core.Payload) core.Command{
		"native": func(id core.CallID, payload core.Payload) core.Command {
			return core.Command{Verb: core.Reply, Call: id, Payload: payload}
		},
		"by topic": func(id core.CallID, payload core.Payload) core.Command {
			return core.Command{Verb: core.Publish, Topic: id.Append([]byte("$reply/")), Payload: payload}
		},
	} {
		w := newWorld(t, 1)
		s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{JSONDepth: 3})})
		x, y := s.connect(0), s.connect(0)
		y.do(share("s"))
		x.do(ask("s", "q"))
		if len(y.heard) != 1 {
			t.Fatalf("%s: the answerer heard %s", name, y.said())
		}
		id := y.heard[0].Call
		y.said()
		x.said()
		told := y.do(reply(id, core.Payload{Kind: core.JSON, Data: []byte("[[[[]]]]")}))
		wants(t, name+": the caller heard", x.said(), "failed call s@7 #r internal")
		if !strings.Contains(told, string(core.Invalid)) || s.Stats.Refused[core.ReasonTooDeep].Load() != 1 {
			t.Errorf("%s: the answerer heard %q", name, told)
		}
		if n := w.engine.Calls(); n != 0 {
			t.Errorf("%s: %d calls wait", name, n)
		}
		if n := s.Stats.CallsFailed[core.ReasonTooDeep].Load(); n != 1 {
			t.Errorf("%s: %d failures are counted as too_deep", name, n)
		}
	}
}
