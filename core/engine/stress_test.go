package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/sessions"
)

type allowAll struct{}

func (allowAll) AuthorizeConnect(context.Context, core.Handshake) core.Verdict { return core.Allow }

func (allowAll) AuthorizeCommand(_ context.Context, _ *core.Identity, c core.Command) core.Verdict {
	if len(c.Topic) > 0 && c.Topic[len(c.Topic)-1] == '3' {
		return core.Deny
	}
	return core.Allow
}

// Everything at once on several loops: afterwards nothing is left, and every call
// that was taken has ended exactly once.
func TestStress(t *testing.T) {
	nothingLeft := coretest.Leftovers(t)
	w := newWorld(t, 4)
	w.engine.ticking.Go(w.engine.keepTime)
	w.engine.Handle("go", func(ctx context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, ctx.Err() })
	store := sessions.NewMemory()
	w.engine.Configure([]Service{
		{Match: "+/2", Handler: func(_ context.Context, c core.Invocation) (core.Payload, error) {
			s, err := c.Caller.OpenSession(nil)
			return text(s.Key), err
		}},
		{Match: "+/1", Handler: func(_ context.Context, c core.Invocation) (core.Payload, error) {
			return core.Payload{}, c.Caller.CloseSession()
		}},
	})
	sites := []*site{
		w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{CallTimeout: time.Hour})}),
		w.site(core.Endpoint{TopicPrefix: "t/", Sessions: store, MaxSessionConnections: 2}),
		w.site(core.Endpoint{Authorizer: allowAll{}, Sessions: store, Limits: core.NewLiveLimits(core.Limits{CallTimeout: time.Nanosecond})}),
	}
	var loops sync.WaitGroup
	for _, l := range w.loops {
		loops.Go(l.run)
	}
	var taken, ended, byTopic atomic.Int64
	var told sync.Map // keys of sessions
	opened := func() (some bool) {
		told.Range(func(any, any) bool { some = true; return false })
		return some
	}
	var conns sync.WaitGroup
	const connections, commands = 24, 300
	for i := range connections {
		conns.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			// A busy machine may let every connection leave before its session is open.
			for lives := 0; lives < 3 || lives < 1000 && !opened(); lives++ {
				live(sites[r.IntN(len(sites))], r, commands, &taken, &ended, &byTopic, &told)
			}
		})
	}
	conns.Wait()
	// What runs off the loops comes back before they stop.
	w.engine.Close()
	w.engine.drainHandlers()
	for _, l := range w.loops {
		l.mu.Lock()
		l.stop = true
		l.posted.Broadcast()
		l.mu.Unlock()
	}
	loops.Wait()
	w.pump()
	coretest.Eventually(t, "no session is left", func() bool { return w.engine.sessions.size() == 0 })
	nothingLeft()
	wantEmpty(t, w.engine)
	var failed, calls uint64
	for _, s := range sites {
		calls += s.Stats.Calls.Load()
		failed += s.Stats.CallsFailed[core.ReasonGone].Load()
	}
	// Calls whose caller left are not told; all others are, once.
	if taken.Load() == 0 || ended.Load() == 0 || byTopic.Load() == 0 || calls < uint64(taken.Load()) || uint64(ended.Load())+failed < uint64(taken.Load()) {
		t.Errorf("%d calls, %d told as taken, %d told as ended, %d gone", calls, taken.Load(), ended.Load(), failed)
	}
	known := 0
	told.Range(func(key, _ any) bool {
		if _, err := store.Lookup(t.Context(), []byte(key.(string))); err == nil {
			known++
		}
		return true
	})
	if n := store.Len(); n != known {
		t.Errorf("%d sessions are in the store, and somebody was told of %d of them", n, known)
	}
	if !opened() {
		t.Error("no session was opened")
	}
}

// live is the life of one connection: random commands, then it is gone.
func live(s *site, r *rand.Rand, commands int, taken, ended, byTopic *atomic.Int64, told *sync.Map) {
	w := s.w
	l := &link{id: w.ids.Add(1), site: s, loop: w.loops[r.IntN(len(w.loops))], quiet: true}
	open := map[core.CallID]bool{}
	var keys []string
	var asked []core.CallID
	refs := map[string]bool{} // of topic-borne calls; true until they end
	l.onTell = func(ev core.Event) {
		switch {
		case ev.Kind == core.Message && core.Reserved(ev.Topic):
			if id, isRequest := bytes.CutPrefix(ev.Topic, b(core.RequestTopic)); isRequest {
				call, _ := core.ParseCallID(id[:36])
				asked = append(asked, call)
				break
			}
			_, ref, _ := bytes.Cut(ev.Topic, b("/"))
			if !refs[string(ref)] {
				w.t.Errorf("%s %s of a call that is not open", ev.Topic, ev.Payload.Data)
			}
			delete(refs, string(ref))
			byTopic.Add(1)
		case ev.Kind == core.Request:
			asked = append(asked, ev.Call)
		case ev.Kind == core.SessionOpened:
			keys = append(keys, ev.Session.Key)
			told.Store(ev.Session.Key, nil)
		case ev.Kind == core.Done && ev.Verb == core.Call && ev.Call != core.CallID{}:
			open[ev.Call] = true
			taken.Add(1)
		case ev.Verb == core.Call && ev.Call != core.CallID{}:
			if !open[ev.Call] {
				w.t.Errorf("%v of a call that is not open", ev.Kind)
			}
			delete(open, ev.Call)
			ended.Add(1)
		}
	}
	onLoop := func(f func()) {
		done := make(chan struct{})
		l.loop.post(func() { f(); close(done) })
		<-done
	}
	onLoop(func() { l.peer = w.engine.Connect(l) })
	for n := range commands {
		topic := b(fmt.Sprintf("%c/%d", 'a'+rune(r.IntN(3)), r.IntN(4)))
		c := core.Command{
			Verb: core.Verb(r.IntN(int(core.Ping))), Topic: topic, As: uint32(r.IntN(2)), Pattern: r.IntN(3) == 0,
			Channel: topic[:1], Exclusive: r.IntN(2) == 0, AsOwner: r.IntN(3) == 0, NotToSelf: r.IntN(2) == 0,
			Services: [][]byte{topic}, OneWay: r.IntN(8) == 0, Payload: text("payload"),
		}
		if c.Exclusive {
			c.Services = [][]byte{topic[len("a/"):]}
		}
		if c.Pattern {
			c.Topic = []byte([]string{"+/1", "a/#", "#", "+a/+b", "/2", "#/x"}[r.IntN(6)])
		}
		if c.Verb == core.Call && r.IntN(4) == 0 {
			c.Topic = b("go")
		}
		if byTopics := r.IntN(3) == 0; byTopics {
			switch c.Verb {
			case core.Call:
				c.Verb, c.Topic = core.Publish, fmt.Appendf(nil, "$call/%d/%s", n, c.Topic)
			case core.Subscribe, core.Unsubscribe:
				c.Topic, c.Pattern = append(b("$serve/"), topic...), r.IntN(2) == 0
			}
		}
		onLoop(func() {
			if c.Verb == core.Reply && len(asked) > 0 {
				c.Topic, c.Call = nil, asked[len(asked)-1]
				asked = asked[:len(asked)-1]
				if n%2 == 0 {
					c.Verb, c.Topic = core.Publish, c.Call.Append(b([]string{core.ReplyTopic, core.ErrorTopic}[n/2%2]))
				}
			}
			if c.Verb == core.RestoreSession && len(keys) > 0 {
				c.Key = b(keys[r.IntN(len(keys))])
			}
			if ref, isCall := bytes.CutPrefix(c.Topic, b(core.CallTopic)); isCall {
				ref, _, _ = bytes.Cut(ref, b("/"))
				refs[string(ref)] = true
			}
			l.message(c)
		})
	}
	onLoop(func() { l.gone(r.IntN(2) == 0) })
}
