package redis

import (
	"slices"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// engineStub is the engine of a node that has no clients: it keeps what it is told, and answers
// calls with what answer returns.
type engineStub struct {
	mu       sync.Mutex
	messages []stubMessage
	served   []string
	gone     []core.NodeID
	owned    []string
	freed    []string
	lost     []string
	asked    int
	answered []core.Failure
}

type stubMessage struct {
	topic   string
	payload core.Payload
}

func (s *engineStub) Together(f func()) { f() }

func (s *engineStub) Published(topic []byte, p core.Payload, _ []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, stubMessage{string(topic), p.Clone()})
}

func (s *engineStub) Served(_ core.NodeID, changes []core.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if c.On {
			s.served = append(s.served, c.Name)
		}
	}
}

func (s *engineStub) Owned(_ core.NodeID, c core.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned = append(s.owned, c.Channel)
}

func (s *engineStub) Freed(_ core.NodeID, channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed = append(s.freed, channel)
}

func (s *engineStub) Lost(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = append(s.lost, channel)
}

func (s *engineStub) Asked(core.NodeID, core.Question) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
}

func (s *engineStub) Answered(_ core.NodeID, _ core.CallID, o core.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = append(s.answered, o.Failure)
}

func (s *engineStub) Cancelled(core.NodeID, core.CallID) {}

func (s *engineStub) Gone(n core.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = append(s.gone, n)
}

// on returns the messages on a topic.
func (s *engineStub) on(topic string) []stubMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []stubMessage
	for _, m := range s.messages {
		if m.topic == topic {
			all = append(all, m)
		}
	}
	return all
}

func (s *engineStub) has(list *[]string, channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(*list, channel)
}

// join starts a node and waits until it is well.
func join(t testing.TB, o Options) (*Backplane, *engineStub, *core.ClusterStats) {
	t.Helper()
	s := new(engineStub)
	b, stats := startNode(t, o, s)
	t.Cleanup(b.Close)
	healthy(t, b)
	return b, s, stats
}

// pair starts two nodes that know each other; what one hears of the other works.
func pair(t testing.TB, url string) (a, b *Backplane, aStub, bStub *engineStub) {
	t.Helper()
	a, aStub, _ = join(t, Options{Node: "a", URL: url})
	b, bStub, _ = join(t, Options{Node: "b", URL: url})
	a.Hear(hear("sync"))
	b.Hear(hear("sync"))
	meet(t, a, b, aStub, bStub)
	return a, b, aStub, bStub
}

func meet(t testing.TB, a, b *Backplane, aStub, bStub *engineStub) {
	t.Helper()
	coretest.Eventually(t, "they know each other", func() bool { return a.nodes.Known(b.id) && b.nodes.Known(a.id) })
	reaches(t, a, bStub)
	reaches(t, b, aStub)
}

// reaches waits until what from publishes comes to the stub of another node, which hears sync.
func reaches(t testing.TB, from *Backplane, to *engineStub) {
	t.Helper()
	before := len(to.on("sync"))
	coretest.Eventually(t, "a message comes", func() bool {
		from.Publish([]byte("sync"), text("x"), nil)
		return len(to.on("sync")) > before
	})
}

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

func hear(topics ...string) (all []core.Interest) {
	for _, t := range topics {
		all = append(all, core.Interest{Name: t, On: true})
	}
	return all
}

func hearAll() []core.Interest { return []core.Interest{{Name: "#", Pattern: true, On: true}} }

func claimNow(t testing.TB, b *Backplane, channel string) core.Failure {
	return b.Claim(t.Context(), core.Claim{Channel: channel}, func() core.Failure { return core.Failure{} })
}

// gets claims a channel until it is given, or for as long as the cluster cannot decide.
func gets(t testing.TB, b *Backplane, channel string) {
	t.Helper()
	coretest.Eventually(t, "the channel is given", func() bool {
		f := claimNow(t, b, channel)
		if f.Failed() && f.Code != core.Unreachable {
			t.Fatal(f)
		}
		return !f.Failed()
	})
}
