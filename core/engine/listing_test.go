package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// listed returns what a list shows, in the order of its text.
func listed[T any](t testing.TB, list func(context.Context, func(T)) error) (all []T) {
	t.Helper()
	if err := list(t.Context(), func(one T) { all = append(all, one) }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

func wantsSame(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// An operator sees what is heard, owned and answered, and by whom; nobody else's code runs under the lock.
func TestListing(t *testing.T) {
	w := newWorld(t, 2)
	w.strict = true
	in := w.site(core.Endpoint{Name: "in", Protocol: "vws", TopicPrefix: "in/"})
	out := w.site(core.Endpoint{Name: "out", Protocol: "wsify", Sessions: sessions.NewMemory()})
	x, y, z := in.connect(0), in.connect(1), out.connect(0)
	x.user = &core.Identity{Subject: "ann"}
	x.do(sub("a"), subAs("a", 3), subPattern("p/+name"), subPattern("p/+other"), subPattern("#/never"), share("s"), own("c", "c/d", "c"))
	y.do(sub("a"), share("s"))
	z.do(sub("in/a"), subPattern("in/+"))
	wantsSame(t, "topics", listed(t, w.engine.ListTopics), []core.TopicInfo{
		{Name: "#/", Prefix: "in/", Pattern: true, Subscribers: 1},
		{Name: "in/+", Pattern: true, Subscribers: 1},
		{Name: "in/a", Subscribers: 4},
		{Name: "p/+", Prefix: "in/", Pattern: true, Subscribers: 1},
	})
	topic, err := w.engine.TopicHeard(t.Context(), core.TopicInfo{Name: "in/a"})
	byAll := []core.Hearing{{Endpoint: "in", Protocol: "vws", Subscribers: 3}, {Endpoint: "out", Protocol: "wsify", Subscribers: 1}}
	wantsSame(t, fmt.Sprint("a topic ", err), topic, core.HeardTopic{TopicInfo: core.TopicInfo{Name: "in/a", Subscribers: 4}, By: byAll})
	topic, err = w.engine.TopicHeard(t.Context(), core.TopicInfo{Name: "p/+", Prefix: "in/", Pattern: true})
	wantsSame(t, fmt.Sprint("a pattern ", err), topic, core.HeardTopic{
		TopicInfo: core.TopicInfo{Name: "p/+", Prefix: "in/", Pattern: true, Subscribers: 1}, By: []core.Hearing{{Endpoint: "in", Protocol: "vws", Subscribers: 1}},
	})
	topic, err = w.engine.TopicHeard(t.Context(), core.TopicInfo{Name: "nobody"})
	wantsSame(t, fmt.Sprint("no topic ", err), topic, core.HeardTopic{TopicInfo: core.TopicInfo{Name: "nobody"}})
	all, err := w.engine.TopicAudience(t.Context(), "in/a")
	wantsSame(t, fmt.Sprint("who would hear ", err), all, []core.HeardTopic{
		{TopicInfo: core.TopicInfo{Name: "in/a", Subscribers: 4}, By: byAll},
		{TopicInfo: core.TopicInfo{Name: "in/+", Pattern: true, Subscribers: 1}, By: byAll[1:][:1]},
	})
	ann := core.HolderInfo{Connection: x.id, Endpoint: "in", User: "ann"}
	wantsSame(t, "channels", listed(t, w.engine.ListChannels), []core.ChannelInfo{{Name: "in/c", Services: 2, Owner: ann}})

	w.engine.Handle("h", func(context.Context, core.Invocation) (core.Payload, error) { return core.Payload{}, nil })
	w.engine.Otherwise(func(context.Context, core.Invocation) (core.Payload, error) { return core.Payload{}, nil })
	w.engine.Configure([]Service{{Match: "u/+", AtOnce: 5}})
	call := core.Command{Verb: core.Call, Topic: b("c/d"), Ref: b("r"), Timeout: time.Hour}
	y.do(call)
	const most = defaultMaxServiceCalls
	wantsSame(t, "services", listed(t, w.engine.ListServices), []core.ServiceInfo{
		{Kind: core.OtherService, Bound: maxRunning},
		{Name: "h", Kind: core.HandledService, Bound: maxRunning},
		{Name: "in/c", Kind: core.OwnedService, Answerers: []core.HolderInfo{ann}, Offers: 1, Bound: most},
		{Name: "in/c/d", Kind: core.OwnedService, Answerers: []core.HolderInfo{ann}, Offers: 1, Pending: 1, Bound: most},
		{Name: "in/s", Kind: core.SharedService, Answerers: []core.HolderInfo{ann, {Connection: y.id, Endpoint: "in"}}, Offers: 2, Bound: most},
		{Name: "u/+", Kind: core.UpstreamService, Bound: 5},
	})

	z.do(core.Command{Verb: core.OpenSession})
	z.settle()
	sessions := listed(t, w.engine.ListSessions)
	if len(sessions) != 1 || sessions[0].Created.IsZero() || sessions[0].Key != z.peer.(*peer).sessionKey() {
		t.Fatalf("sessions: %+v", sessions)
	}
	sessions[0].Key, sessions[0].Created, sessions[0].LastLookup = "", time.Time{}, time.Time{}
	wantsSame(t, "sessions", sessions, []core.SessionInfo{{Endpoint: "out", Connections: []uint64{z.id}, Places: 1}})
}

// What nobody waits for any more ends early.
func TestListingEnds(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	for i := range 5 * lookBatch {
		x.do(sub(fmt.Sprint(i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := w.engine.ListTopics(ctx, func(core.TopicInfo) { n++; cancel() })
	if !errors.Is(err, context.Canceled) || n > 2*lookBatch {
		t.Errorf("%d topics, %v", n, err)
	}
}

// What is there all the time is listed once, while others come and go and publish.
func TestListingAmongChanges(t *testing.T) {
	w := newWorld(t, 2)
	s := &silent{w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Patterns: 1 << 16})})}
	stays, comes := connectSilently(w, s, 0), connectSilently(w, s, 1)
	const n = 1000
	for i := range n {
		stays.peer.Do(sub(fmt.Sprintf("stays/%d", i)))
		stays.peer.Do(subPattern(fmt.Sprintf("stays/%d/+", i)))
	}
	var stop atomic.Bool
	done := make(chan struct{})
	defer func() {
		stop.Store(true)
		<-done
	}()
	go func() {
		defer close(done)
		for i := 0; !stop.Load(); i++ {
			topic := fmt.Sprintf("comes/%d", i%2000)
			comes.peer.Do(sub(topic))
			comes.peer.Do(subPattern(topic + "/+"))
			if i%2 == 1 {
				comes.peer.Do(unsub(fmt.Sprintf("comes/%d", i/2%2000)))
			}
		}
	}()
	for range 5 {
		seen := make(map[string]int)
		if err := w.engine.ListTopics(t.Context(), func(one core.TopicInfo) { seen[one.Name]++ }); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for _, name := range []string{fmt.Sprintf("stays/%d", i), fmt.Sprintf("stays/%d/+", i)} {
				if seen[name] != 1 {
					t.Fatalf("%s is listed %d times", name, seen[name])
				}
			}
		}
	}
}

// A node asks another one itself, and knows what that has.
func TestAskNode(t *testing.T) {
	w, x, _ := pair(t)
	x.do(own("c"), share("s"))
	x.settle()
	w.announce()
	far := w.nodes[1].engine
	wantsSame(t, "what the other one has", far.NodeHoldings(w.nodes[0].id), core.NodeHoldings{Channels: 1, Services: 1})
	wantsSame(t, "what nobody has", far.NodeHoldings("none"), core.NodeHoldings{})
	if _, f := w.nodes[0].engine.AskNode(t.Context(), w.nodes[1].id, b("$self"), text("q")); f.Code != core.NoService {
		t.Errorf("a node that does not know the question says %v", f)
	}
}

// BenchmarkListTopics is what a publish and a subscription wait at most, in nanoseconds, beside lists of 100,000 topics.
func BenchmarkListTopics(b *testing.B) {
	w := newWorld(b, 2)
	s := &silent{w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Subscriptions: 1 << 17})})}
	many, x := connectSilently(w, s, 0), connectSilently(w, s, 1)
	for i := range 100_000 {
		many.peer.Do(sub(fmt.Sprintf("topics/%d", i)))
	}
	var stop atomic.Bool
	var lists atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			_ = w.engine.ListTopics(context.Background(), func(core.TopicInfo) {})
			lists.Add(1)
		}
	}()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		x.peer.Do(sub("x"))
		x.peer.Do(pub("topics/5", "m"))
		x.peer.Do(unsub("x"))
		took = append(took, time.Since(start))
	}
	stop.Store(true)
	<-done
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	b.ReportMetric(float64(took[len(took)*999/1000]), "p999-ns")
	b.ReportMetric(float64(took[len(took)-1]), "max-ns")
	b.ReportMetric(float64(lists.Load()), "lists")
}
