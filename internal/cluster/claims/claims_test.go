package claims

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const testLease = 10 * time.Second

// node is a node with a register that says what the test wants. It is the engine, too, which keeps
// what it is told.
type node struct {
	core.Cluster
	*Channels
	others []*Entry // static while others use it
	onLost func()   // called by Lost; nil is nothing

	mu                   sync.Mutex
	lost, owned, answers []string
}

func (n *node) note(list *[]string, what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	*list = append(*list, what)
}

func (n *node) wants(t *testing.T, list *[]string, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(*list, want) {
		t.Errorf("the node was told %v, want %v", *list, want)
	}
	*list = nil
}

func (n *node) OfNode(core.NodeID) []*Entry { return n.others }
func (n *node) LeaseTime() time.Duration    { return testLease }
func (n *node) Answers(e *Entry, on bool)   { n.note(&n.answers, fmt.Sprint(e.Channel, on)) }
func (n *node) Lost(channel string) {
	if n.note(&n.lost, channel); n.onLost != nil {
		n.onLost()
	}
}

func (n *node) Owned(by core.NodeID, c core.Claim) {
	n.note(&n.owned, string(by)+" "+c.Channel)
}
func (n *node) Gone(core.NodeID) {}

const self = core.NodeID("n-a-1")

// newNode returns a node with a lease.
func newNode(t testing.TB) *node {
	t.Helper()
	n := new(node)
	o := roster.Options{
		ID: self, Name: "a", Stats: new(core.ClusterStats), Logger: slog.New(slog.DiscardHandler),
		Fits: func(string) bool { return true }, Heard: func(core.NodeID) {}, Gone: func(core.NodeID) {},
	}
	n.Channels = New(Options{
		ID: self, Register: n, Fits: func(channel string) bool { return channel != "unfit" },
		Stats: o.Stats, Logger: o.Logger, Health: new(roster.Health), Roster: roster.New(o),
	})
	n.Start(n)
	n.renew(t)
	return n
}

func (n *node) renew(t testing.TB) (lease string) {
	t.Helper()
	r, ok := n.Renewal()
	if !ok || !n.Renewed(r, time.Now(), testLease) {
		t.Fatal("the lease is not renewed")
	}
	return r.Lease
}

// ended is a claim that has ended.
type ended struct {
	core.Failure
	granted bool
	after   time.Duration
}

// claims claims a channel in a goroutine, and returns when it waits. The grant fails with f.
func (n *node) claims(ctx context.Context, channel string, f core.Failure) <-chan ended {
	outcome := make(chan ended, 1)
	began := time.Now()
	go func() {
		var e ended
		e.Failure = n.Claim(ctx, core.Claim{Channel: channel, Services: []string{"b", "a", "b"}}, func() core.Failure {
			e.granted = true
			return f
		})
		e.after = time.Since(began)
		outcome <- e
	}()
	synctest.Wait()
	return outcome
}

// registers takes the next task, and says that the register has it as rev.
func (n *node) registers(t *testing.T, rev uint64) *Entry {
	t.Helper()
	task := n.Next(nil)
	if task == nil || !task.Claims() {
		t.Fatalf("the next task is %+v", task)
	}
	e := *task.Entry
	e.Rev = rev
	n.Happened([]Change{{&e, true}})
	return &e
}

func (n *node) owns(t *testing.T, channel string, rev uint64) *Entry {
	t.Helper()
	outcome := n.claims(t.Context(), channel, core.Failure{})
	e := n.registers(t, rev)
	if got := <-outcome; got.Failed() || !got.granted {
		t.Fatalf("the claim of %q ends with %+v", channel, got)
	}
	return e
}

func (n *node) channels() (all []string) {
	for _, e := range n.Mine() {
		all = append(all, e.Channel)
	}
	return all
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var failed = core.Failure{Code: core.Internal, Text: "no"}

// A channel is this node's from when the register says so until it is given back.
func TestClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		e := n.owns(t, "x", 5)
		want(t, "the services", e.Services, []string{"a", "b"})
		want(t, "the channels", n.channels(), []string{"x"})
		n.Release("x")
		n.Release("y")
		task := n.Next(nil)
		if task.Claims() || !task.Same(e) || task.Rev != 5 {
			t.Errorf("the release is %+v", task.Entry)
		}
		n.Happened([]Change{{e, false}})
		n.wants(t, &n.answers, "xtrue", "xfalse")
		want(t, "the channels", n.channels(), nil)
		n.wants(t, &n.lost)
		outcome := n.claims(t.Context(), "z", failed)
		e = n.registers(t, 6)
		if got := <-outcome; got.Failure != failed {
			t.Errorf("a claim whose grant fails ends with %v", got)
		}
		if task := n.Next(nil); task == nil || task.Claims() || !task.Same(e) {
			t.Errorf("what is not granted is not given back: %+v", task)
		}
		for _, c := range []core.Claim{{Channel: "unfit"}, {Channel: "x", Services: []string{"\xff"}}, {Channel: "x", Services: []string{string(make([]byte, maxServices+1))}}} {
			if f := n.Claim(t.Context(), c, nil); f.Code != core.Invalid {
				t.Errorf("a claim of %.20q ends with %v", c, f)
			}
		}
	})
}

// What is in the register, and nobody waits for any more, is given back; so is a claim whose number
// is another claim's. What has a lease of before is nobody's.
func TestUnknownClaimsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		ctx, cancel := context.WithCancel(t.Context())
		outcome := n.claims(ctx, "x", core.Failure{})
		task := n.Next(nil)
		cancel()
		if got := <-outcome; got.Code != core.Unreachable {
			t.Errorf("the claim ends with %v", got)
		}
		n.Happened([]Change{{task.Entry, true}})
		outcome = n.claims(t.Context(), "z", core.Failure{})
		if back := n.Next(nil); back.Claims() || !back.Same(task.Entry) {
			t.Errorf("the claim that nobody waits for: %+v", back)
		}
		forged := *n.Next(nil).Entry
		forged.Channel = "y"
		n.Happened([]Change{{&forged, true}})
		if back := n.Next(nil); back == nil || back.Claims() || back.Channel != "y" {
			t.Errorf("the claim whose number is another one's: %+v", back)
		}
		forged.Channel, forged.Lease = "z", "before"
		n.Happened([]Change{{&forged, true}})
		if back := n.Next(nil); back != nil {
			t.Errorf("the claim of another lease: %+v", back)
		}
		if got := <-outcome; got.granted || got.Code != core.Unreachable {
			t.Errorf("a claim of which another one has the number ends with %+v", got)
		}
	})
}

// A claim waits for the lease of a dead node once, and as long as other claims are decided.
func TestPatience(t *testing.T) {
	dead := func(string) *Conflict { return ConflictOver("n-dead-1") }
	for _, test := range []struct {
		name  string
		begin func(t *testing.T, n *node)
		want  time.Duration
		text  string
	}{
		{"of a cluster that does not decide", func(*testing.T, *node) {}, patience, "in time"},
		{"of a node that is gone", func(t *testing.T, n *node) { n.Next(dead) }, testLease + lateMargin, "lease"},
		{"of a node that is gone, by the register", func(t *testing.T, n *node) { n.Blocked(n.Next(nil), dead("")) }, testLease + lateMargin, "lease"},
		{"of a register that has begun just now", func(t *testing.T, n *node) { n.Late(n.Next(nil)) }, testLease + lateMargin, "lease"},
		{"while others are decided", func(t *testing.T, n *node) {
			for i := range 4 {
				time.Sleep(patience - time.Second)
				n.renew(t)
				outcome := n.claims(t.Context(), fmt.Sprint(i), core.Failure{})
				n.Next(func(channel string) *Conflict {
					if channel == "x" {
						return ConflictOver(self) // it is being given back
					}
					return ConflictOver("")
				})
				<-outcome
			}
		}, 25 * time.Second, "in time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				outcome := n.claims(t.Context(), "x", core.Failure{})
				test.begin(t, n)
				got := <-outcome
				if got.Code != core.Unreachable || got.after != test.want {
					t.Errorf("it ends after %v with %v, want %v", got.after, got.Failure, test.want)
				}
				if tasks, _ := n.Queued(); tasks {
					t.Error("it waits nevertheless")
				}
			})
		})
	}
}

// A claim loses against who has the channel, and waits while that is being given back, or until a
// node that is gone has it no longer; others go before it.
func TestConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		e := n.owns(t, "mine", 1)
		for _, test := range []struct {
			channel string
			why     *Conflict
			want    core.Code
		}{
			{"mine", ConflictOver(self), core.Taken},
			{"unknown", ConflictWith("another one", ""), core.NotOwner},
		} {
			for _, byRegister := range []bool{false, true} {
				outcome := n.claims(t.Context(), test.channel, core.Failure{})
				if byRegister {
					n.Blocked(n.Next(nil), test.why)
				} else if task := n.Next(func(string) *Conflict { return test.why }); task != nil {
					t.Errorf("%q: %+v", test.channel, task)
				}
				if got := <-outcome; got.Code != test.want || got.after > 0 {
					t.Errorf("%q ends with %v after %v", test.channel, got.Failure, got.after)
				}
			}
		}
		n.Release("mine")
		back := n.Next(nil)
		outcome := n.claims(t.Context(), "mine", core.Failure{})
		other := n.claims(t.Context(), "other", core.Failure{})
		if !n.Blocked(n.Next(nil), ConflictOver(self)) {
			t.Error("there is nothing else to do than what waits")
		}
		otherEntry := n.registers(t, 2)
		if got := <-other; got.Failed() {
			t.Errorf("the other one ends with %v", got)
		}
		n.Back(back)
		if task := n.Next(func(string) *Conflict { return ConflictOver(self) }); task == nil || task.Claims() || !task.Same(e) {
			t.Errorf("the release that was not done: %+v", task)
		}
		if task := n.Next(nil); n.Blocked(task, ConflictOver(self)) {
			t.Error("what waits is to be asked again at once")
		}
		n.registers(t, 3)
		if got := <-outcome; got.Failed() {
			t.Errorf("a claim of what was given back ends with %v", got)
		}
		want(t, "the channels", n.channels(), []string{otherEntry.Channel, "mine"})
	})
}

// A lease is over before it ends in the register: then all channels are lost, in the order in which
// they were given, and what is being asked fails. The next lease is another one.
func TestLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		ctx, cancel := context.WithCancel(t.Context())
		guarded := make(chan struct{})
		go func() {
			n.Guard(ctx)
			close(guarded)
		}()
		old := n.Lease()
		for i, channel := range []string{"z", "y", "x"} {
			n.owns(t, channel, uint64(i+1))
		}
		n.owns(t, "w", 4)
		n.Release("y")
		n.Release("w")
		time.Sleep(testLease - testLease/safetyParts - time.Millisecond)
		asked := n.claims(t.Context(), "asked", core.Failure{})
		released, w := n.Next(nil), n.Next(nil)
		n.Next(nil)
		waits := n.claims(t.Context(), "waits", core.Failure{})
		n.Back(w)
		if task := n.Next(nil); task != w {
			t.Errorf("before the task that was not done comes %+v", task)
		}
		n.Back(w)
		synctest.Wait()
		n.wants(t, &n.lost)
		time.Sleep(2 * guardPause)
		synctest.Wait()
		n.wants(t, &n.lost, "z", "x")
		if got := <-asked; got.Code != core.Unreachable || got.granted {
			t.Errorf("what was asked ends with %v", got)
		}
		if n.Holds() || n.Lease() != "" || n.Next(nil) != nil {
			t.Error("there is a lease")
		}
		r, ok := n.Renewal()
		if !ok || !r.New || r.Lease == old || !slices.Equal(r.Ended, []string{old}) {
			t.Errorf("the next lease: %+v", r)
		}
		if again, _ := n.Renewal(); again.Lease != r.Lease {
			t.Errorf("a lease that is being got: %q and %q", r.Lease, again.Lease)
		}
		n.Retire(r.Lease)
		if other, _ := n.Renewal(); other.Lease == r.Lease || len(other.Ended) != 2 {
			t.Errorf("the lease after one that is there already: %+v", other)
		}
		if n.Renewed(Renewal{Lease: old}, time.Now(), testLease) {
			t.Error("the old lease is renewed")
		}
		n.renew(t)
		n.Back(released)
		if task := n.Next(nil); task == nil || task.Channel != "waits" || n.Next(nil) != nil {
			t.Errorf("the next task: %+v", task)
		}
		n.LeaseEnded(old)
		if !n.Holds() {
			t.Error("the lease ends with another one")
		}
		n.LeaseEnded(n.Lease())
		if got := <-waits; got.Code != core.Unreachable || n.Holds() {
			t.Errorf("the lease has ended in the register: %v", got)
		}
		cancel()
		<-guarded
	})
}

// A lease is over at its time, also for who has stood still until then and is not told yet: it is
// not renewed any more, and what the engine holds for its own is not covered by the next one.
func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.owns(t, "x", 1)
		time.Sleep(testLease / 2)
		n.renew(t)
		time.Sleep(testLease - testLease/safetyParts - 1)
		if !n.Holds() {
			t.Error("the lease is over before its time")
		}
		asked := time.Now()
		time.Sleep(1 * time.Nanosecond)
		if n.Holds() {
			t.Error("the lease lasts after its time")
		}
		if n.Renewed(Renewal{Lease: n.Lease()}, asked, testLease) || n.Holds() {
			t.Error("a lease that is over is renewed")
		}
	})
}

// There is no other lease before the engine was told of all that is lost: until then it would hold
// that for its own.
func TestHoldsNothingLost(t *testing.T) {
	n := newNode(t)
	for i, channel := range []string{"x", "y"} {
		c := core.Claim{Channel: channel}
		ended := make(chan core.Failure)
		go func() { ended <- n.Claim(t.Context(), c, func() core.Failure { return core.Failure{} }) }()
		n.Wait(t.Context(), func() bool { tasks, _ := n.Queued(); return tasks })
		n.registers(t, uint64(i+1))
		<-ended
	}
	renewed := make(chan struct{})
	n.onLost = func() {
		n.onLost = nil
		go func() {
			n.renew(t)
			n.note(&n.lost, "renewed")
			close(renewed)
		}()
		for range 1000 {
			runtime.Gosched()
		}
	}
	n.nodes.Tell.Lock()
	n.Lose()
	n.nodes.Tell.Unlock()
	<-renewed
	n.wants(t, &n.lost, "x", "y", "renewed")
	if !n.Holds() {
		t.Error("there is no other lease")
	}
}

// When the register was read anew, what it has not is asked again, and what it has forgotten is lost.
func TestReread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		kept, forgotten := n.owns(t, "kept", 1), n.owns(t, "forgotten", 2)
		there := n.claims(t.Context(), "there", core.Failure{})
		thereEntry := n.Next(nil).Entry
		missing := n.claims(t.Context(), "missing", core.Failure{})
		missed := n.Next(nil).Entry
		other := *forgotten
		other.Claim = 99
		again := *kept
		again.Rev = 7
		n.Reread(map[string]*Entry{"kept": &again, "there": thereEntry, "forgotten": &other})
		n.Happened([]Change{{&again, true}, {thereEntry, true}})
		if got := <-there; got.Failed() {
			t.Errorf("what is there ends with %v", got)
		}
		n.wants(t, &n.lost, "forgotten")
		task := n.Next(nil)
		if task == nil || !task.Same(missed) {
			t.Fatalf("asked again: %+v", task)
		}
		n.Happened([]Change{{task.Entry, true}})
		if got := <-missing; got.Failed() {
			t.Errorf("what was missing ends with %v", got)
		}
		n.Release("kept")
		if task := n.Next(nil); task.Rev != 7 {
			t.Errorf("what was registered again is given back as %+v", task.Entry)
		}
	})
}

// Who leaves ends all claims, loses nothing, and gets nothing any more.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		e := n.owns(t, "x", 1)
		asked := n.claims(t.Context(), "asked", core.Failure{})
		task := n.Next(nil)
		waits := n.claims(t.Context(), "waits", core.Failure{})
		if lease := n.Leave(); lease != e.Lease {
			t.Errorf("the lease is %q", lease)
		}
		n.Happened([]Change{{task.Entry, true}, {e, false}})
		n.LeaseEnded(e.Lease)
		for _, outcome := range []<-chan ended{asked, waits, n.claims(t.Context(), "new", core.Failure{})} {
			if got := <-outcome; got.Failure != failureLeaving || got.granted {
				t.Errorf("a claim ends with %+v", got)
			}
		}
		n.wants(t, &n.lost)
		if _, ok := n.Renewal(); ok {
			t.Error("the lease is to be renewed")
		}
	})
}

// Channels of others are told to the engine, with the order kept.
func TestOthers(t *testing.T) {
	n := newNode(t)
	from := []*Entry{{Channel: "same", Node: "b", Rev: 1}, {Channel: "freed", Node: "b", Rev: 2}, {Channel: "again", Node: "b", Rev: 3}}
	to := []*Entry{{Channel: "new", Node: "c", Rev: 9}, {Channel: "again", Node: "c", Rev: 8}, {Channel: "same", Node: "b", Rev: 7}}
	var got []string
	changes := Difference(from, to, (*Entry).Same)
	for _, c := range changes {
		got = append(got, fmt.Sprint(c.Channel, c.Owned))
	}
	want(t, "the changes", got, []string{"freedfalse", "againfalse", "againtrue", "newtrue"})
	n.Happened(changes)
	n.wants(t, &n.owned, "c again", "c new")
	n.others = []*Entry{to[0], to[1]}
	n.NodeGone("c")
	n.NodeHeard("c")
	n.wants(t, &n.owned, "c new", "c again")
}

// BenchmarkHolds is what an owner's message costs more in a cluster.
func BenchmarkHolds(b *testing.B) {
	n := newNode(b)
	for b.Loop() {
		n.Holds()
	}
}
