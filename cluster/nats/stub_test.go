package nats

import (
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// engineStub is the engine of a node that has no clients: it keeps what it is told, and answers
// calls with what answer returns.
type engineStub struct {
	answer func(from core.NodeID, q core.Question)

	mu       sync.Mutex
	messages []stubMessage
	gone     []core.NodeID
	owned    []string
	freed    []string
	lost     []string
	asked    int
	answered []core.Failure
	served   int
}

type stubMessage struct {
	topic, headers string
	payload        core.Payload
}

func (s *engineStub) Together(f func()) { f() }

func (s *engineStub) Published(topic []byte, p core.Payload, headers []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, stubMessage{string(topic), string(headers), p.Clone()})
}

func (s *engineStub) Served(_ core.NodeID, changes []core.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served += len(changes)
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

func (s *engineStub) Asked(from core.NodeID, q core.Question) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	if s.answer != nil {
		s.answer(from, q)
	}
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

func (s *engineStub) count(what *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *what
}

func (s *engineStub) has(list *[]string, channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(*list, channel)
}

// dial connects a program that is no node.
func dial(t testing.TB, srv *server.Server) *natsgo.Conn { return dialAs(t, srv, "") }

// dialEmbedded connects to the server within a node.
func dialEmbedded(t testing.TB, b *Backplane) *natsgo.Conn {
	return dialAs(t, b.engine.srv, b.engine.token)
}

func dialAs(t testing.TB, srv *server.Server, token string) *natsgo.Conn {
	t.Helper()
	nc, err := natsgo.Connect(srv.ClientURL(), natsgo.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// join starts a node with an external server and waits until it is well.
func join(t testing.TB, srv *server.Server, name string) (*Backplane, *engineStub, *core.ClusterStats) {
	t.Helper()
	s := new(engineStub)
	b, stats := startNode(t, Options{Node: name, URL: srv.ClientURL()}, s)
	t.Cleanup(b.Close)
	healthy(t, b)
	return b, s, stats
}

// reaches waits until what from publishes comes to the stub of another node, which hears sync.
func reaches(t testing.TB, from *Backplane, to *engineStub) {
	t.Helper()
	before := len(to.on("sync"))
	coretest.Eventually(t, "a message comes", func() bool {
		from.Publish([]byte("sync"), core.Payload{Kind: core.Text, Data: []byte("x")}, nil)
		return len(to.on("sync")) > before
	})
}

func hear1(topic string) []core.Interest { return []core.Interest{{Name: topic, On: true}} }

func claimNow(t testing.TB, b *Backplane, channel string, services ...string) core.Failure {
	return b.Claim(t.Context(), core.Claim{Channel: channel, Services: services}, func() core.Failure { return core.Failure{} })
}
