package clustertest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// Node is a node of a cluster as an implementation starts it. Its Start has been called.
type Node struct {
	core.Backplane
	// ID is what the others know it by.
	ID core.NodeID
	// Sessions are those of the cluster, kept for ever; Aging returns them with another age. Places are
	// those of its users.
	Sessions core.SharedSessions
	Aging    func(maxAge time.Duration) core.SharedSessions
	Places   core.Places
	// Kill ends it without a goodbye, as if its process were killed; then Close is not called.
	Kill func()
	// Cut cuts it off from its engine, and Restore connects it again; nil if that cannot be
	// done.
	Cut, Restore func()
}

// Cluster starts nodes of one cluster. Their names are a, b and c.
type Cluster func(t testing.TB, name string, c core.Cluster) *Node

// Trait is what an implementation cannot do, and says so.
type Trait int

// BareTopics says that a message on a topic has nothing but its JSON: no headers, and of UTF-16 no
// half surrogate pairs.
const BareTopics Trait = 1

// Run runs the suite. begin makes a new cluster for one test, in which nobody has anything.
func Run(t *testing.T, begin func(t testing.TB) Cluster, traits ...Trait) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *world)
	}{
		{"topics and patterns", testInterest},
		{"one copy", testOneCopy},
		{"never an echo", testEcho},
		{"order", testOrder},
		{"names", testNames},
		{"payloads", testPayloads},
		{"many interests", testManyInterests},
		{"services", testServices},
		{"calls", testCalls},
		{"calls to who is gone", testGoneCalls},
		{"who leaves and who dies", testGone},
		{"claims", testClaims},
		{"claims at once", testClaimsAtOnce},
		{"nested claims at once", testNestedClaims},
		{"the order of claims", testClaimOrder},
		{"a grant that fails", testGrantFails},
		{"claims of who dies", testClaimsOfTheDead},
		{"claims of who leaves", testClaimsOfTheLeaving},
		{"away for a moment", testAwayShortly},
		{"away for long", testAwayLong},
		{"sessions", testSessions},
		{"ends of sessions", testSessionEnds},
		{"joins at once", testJoinsAtOnce},
		{"places of who dies", testPlacesOfTheDead},
		{"places of who leaves", testPlacesOfTheLeaving},
		{"sessions while away", testSessionsAway},
		{"the age of sessions", testSessionAge},
		{"users", testUsers},
		{"users while away", testUsersAway},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{begin: begin(t), bare: slices.Contains(traits, BareTopics)}
			test.run(t, w)
			w.end(t)
		})
	}
}

// world is the cluster of one test.
type world struct {
	begin   Cluster
	bare    bool // see BareTopics
	members []*member
}

// member is a node and what it was called with.
type member struct {
	*Node
	*Recorder
	ended bool
}

// node starts a node that hears what synced publishes.
func (w *world) node(t testing.TB, name string) *member {
	t.Helper()
	m := &member{Recorder: NewRecorder(name)}
	m.Node = w.begin(t, name, m.Recorder)
	m.Hear([]core.Interest{{Name: "sync/#", Pattern: true, On: true}})
	w.members = append(w.members, m)
	return m
}

// nodes starts nodes and waits until they hear each other.
func (w *world) nodes(t testing.TB, names ...string) []*member {
	t.Helper()
	var all []*member
	for _, name := range names {
		all = append(all, w.node(t, name))
	}
	for _, from := range all {
		for _, to := range all {
			if from != to {
				w.synced(t, from, to)
			}
		}
	}
	return all
}

// end closes the nodes and fails the test for what was wrong.
func (w *world) end(t testing.TB) {
	t.Helper()
	for _, m := range w.members {
		m.leave()
	}
	for _, m := range w.members {
		for _, f := range m.Faults() {
			t.Error(f)
		}
	}
}

func (m *member) leave() {
	if !m.ended {
		m.ended = true
		m.Close()
		m.close()
	}
}

func (m *member) kill() {
	m.ended = true
	m.Kill()
	m.close()
}

func text(format string, args ...any) core.Payload {
	return core.Payload{Kind: core.Text, Data: fmt.Appendf(nil, format, args...)}
}

// unique returns a name that no other one is like.
func unique() string { return rand.Text() }

// synced waits until all that from has published has come to to.
func (w *world) synced(t testing.TB, from, to *member) {
	t.Helper()
	topic := "sync/" + unique()
	coretest.Eventually(t, "a message of "+from.name+" comes to "+to.name, func() bool {
		from.Publish([]byte(topic), text("sync"), nil)
		return len(to.got(topic)) > 0
	})
}

// hears begins an interest and waits until a message on topic, which it matches, comes.
func (w *world) hears(t testing.TB, m, from *member, i core.Interest, topic string) {
	t.Helper()
	i.On = true
	m.Hear([]core.Interest{i})
	before := len(m.got(topic))
	coretest.Eventually(t, fmt.Sprintf("%s hears %q by %+v", m.name, topic, i), func() bool {
		from.Publish([]byte(topic), text("probe"), nil)
		return len(m.got(topic)) > before
	})
	w.synced(t, from, m)
}

// ceases ends an interest and waits until messages on topic do not come any more.
func (w *world) ceases(t testing.TB, m, from *member, i core.Interest, topic string) {
	t.Helper()
	i.On = false
	m.Hear([]core.Interest{i})
	coretest.Eventually(t, fmt.Sprintf("%s does not hear %q", m.name, topic), func() bool {
		w.synced(t, from, m)
		before := len(m.got(topic))
		from.Publish([]byte(topic), text("probe"), nil)
		w.synced(t, from, m)
		return len(m.got(topic)) == before
	})
}

// claims claims a channel.
func (m *member) claims(t testing.TB, channel string, services ...string) core.Failure {
	c := core.Claim{Channel: channel, Services: services}
	return m.Claim(t.Context(), c, m.Grant(c, core.Failure{}))
}

// gets claims a channel, again if the cluster cannot decide yet, and fails the test if it
// does not get it.
func (m *member) gets(t testing.TB, channel string, services ...string) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("%s gets %q", m.name, channel), func() bool {
		f := m.claims(t, channel, services...)
		if f.Failed() && f.Code != core.Unreachable {
			t.Fatalf("%s does not get %q: %v", m.name, channel, f)
		}
		return !f.Failed()
	})
}

func (m *member) releases(channel string) {
	m.Released(channel)
	m.Release(channel)
}

// owns waits until m holds by for the owner of a channel.
func (m *member) owns(t testing.TB, channel string, by Owner) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("for %s, %q belongs to %v", m.name, channel, by), func() bool {
		o, ok := m.owner(channel)
		return ok && o == by
	})
}

// frees waits until m holds a channel for free.
func (m *member) frees(t testing.TB, channel string) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("for %s, %q is free", m.name, channel), func() bool {
		_, ok := m.owner(channel)
		return !ok
	})
}
