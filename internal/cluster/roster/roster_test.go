package roster

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
)

// exchange carries notices between the nodes of a test, as long as it is not lost.
type exchange struct {
	nodes map[core.NodeID]*member
	from  core.NodeID
	lost  bool
}

// member is a node and what its engine is told. Only the goroutine of the test uses it.
type member struct {
	core.Cluster
	*Roster
	mail     *exchange
	services map[string]bool
	joined   int
	gone     int
	heard    int
}

func (m *member) Served(_ core.NodeID, changes []core.Service) {
	for _, c := range changes {
		if c.On == m.services[c.Name] {
			panic("told twice: " + c.Name)
		}
		if c.On {
			m.services[c.Name] = true
		} else {
			delete(m.services, c.Name)
		}
	}
}

func (m *member) Joined(core.NodeID) { m.joined++ }

func (m *member) Gone(core.NodeID) { m.gone++; clear(m.services) }

func (m *member) names() []string {
	var all []string
	for name := range m.services {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// delayedMail is delivered behind the call that has sent it, as on a wire.
var _ Mail = (*delayedMail)(nil)

type delayedMail struct {
	p *exchange
	q *[]func()
}

func (l *delayedMail) All(notice []byte) {
	if l.p.lost {
		return
	}
	data := slices.Clone(notice)
	for id, m := range l.p.nodes {
		if id != l.p.from {
			*l.q = append(*l.q, func() { m.Notice(data) })
		}
	}
}

func (l *delayedMail) State(to core.NodeID, notice []byte) {
	data := slices.Clone(notice)
	if m := l.p.nodes[to]; m != nil {
		*l.q = append(*l.q, func() { m.State(data) })
	}
}

func (l *delayedMail) Describe(to core.NodeID) {
	from := l.p.from
	if m := l.p.nodes[to]; m != nil {
		*l.q = append(*l.q, func() { m.Roster.Describe(from) })
	}
}

func (l *delayedMail) Taken(to, by core.NodeID) {
	if m := l.p.nodes[to]; m != nil {
		*l.q = append(*l.q, func() { m.Roster.Taken(by) })
	}
}

// two returns two nodes that speak to each other whenever deliver is called.
func two(t *testing.T) (a, b *member, deliver func()) {
	t.Helper()
	all := map[core.NodeID]*member{}
	var queue []func()
	begin := func(name string) *member {
		m := &member{services: make(map[string]bool)}
		id := NewNode(name)
		m.Roster = New(Options{
			ID: id, Name: name, Stats: new(core.ClusterStats), Logger: slog.New(slog.DiscardHandler),
			Fits: func(s string) bool { return len(s) < 100 }, Heard: func(core.NodeID) { m.heard++ }, Gone: func(core.NodeID) {},
		})
		m.Start(m)
		m.mail = &exchange{nodes: all, from: id}
		all[id] = m
		m.Attach(&delayedMail{m.mail, &queue})
		return m
	}
	a, b = begin("a"), begin("b")
	return a, b, func() {
		for len(queue) > 0 {
			next := queue[0]
			queue = queue[1:]
			next()
		}
	}
}

// Who has missed a change is told all.
func TestMissed(t *testing.T) {
	a, b, deliver := two(t)
	a.Serve([]core.Service{{Name: "x", On: true}, {Name: "y", On: true}})
	a.Hello()
	deliver()
	if got := b.names(); !slices.Equal(got, []string{"x", "y"}) || b.heard != 1 {
		t.Fatalf("b knows %q, and has heard of %d nodes", got, b.heard)
	}
	a.mail.lost = true
	a.Serve([]core.Service{{Name: "x"}, {Name: "z", On: true}})
	a.mail.lost = false
	for range toldTicks {
		a.Hello()
		a.Tick()
		b.Tick()
	}
	a.Serve([]core.Service{{Name: "w", On: true}})
	deliver()
	if got := b.names(); !slices.Equal(got, []string{"w", "y", "z"}) {
		t.Errorf("b knows %q", got)
	}
}

// Who says nothing is gone, once.
func TestSilence(t *testing.T) {
	a, b, deliver := two(t)
	a.Hello()
	deliver()
	for range goneTicks {
		b.Tick()
	}
	if b.gone > 0 || len(b.All()) != 1 {
		t.Fatalf("%d are gone too early", b.gone)
	}
	b.Tick()
	b.Tick()
	if b.gone != 1 || len(b.All()) != 0 {
		t.Errorf("%d are gone, %v are there", b.gone, b.All())
	}
	a.Bye()
	deliver()
	if b.gone != 1 {
		t.Errorf("who is gone goes again")
	}
}

// Strangers that pretend to be nodes are not kept without a bound, and are gone again.
func TestForgedNodes(t *testing.T) {
	_, b, _ := two(t)
	for i := range 3 * MaxNodes {
		b.Notice(fmt.Appendf(nil, `{"type":"hello","node":"n-x-%d","name":"x","changes":7}`, i))
		b.Notice(fmt.Appendf(nil, `{"type":"services","node":"n-x-%d","changes":1,"on":["fake.%[1]d"]}`, i))
	}
	if kept, refused := len(b.All()), b.stats.Refused[core.ReasonOverload].Load(); kept != MaxNodes || refused < 2*MaxNodes {
		t.Errorf("%d nodes are kept, %d notices refused", kept, refused)
	}
	for range goneTicks + 1 {
		b.Tick()
	}
	if kept := len(b.All()); kept > 0 || b.gone != MaxNodes {
		t.Errorf("%d are left, %d are gone", kept, b.gone)
	}
}

// Of two nodes of one name the younger one is told.
func TestTwin(t *testing.T) {
	a, b, deliver := two(t)
	b.name = "a"
	var told [2]sync.Once
	refused := [2]bool{}
	a.SetRefuse(func(error) { told[0].Do(func() { refused[0] = true }) })
	b.SetRefuse(func(error) { told[1].Do(func() { refused[1] = true }) })
	a.began = a.began.Add(-2 * SameAge)
	a.Hello()
	b.Hello()
	deliver()
	if refused != [2]bool{false, true} {
		t.Errorf("refused: %v", refused)
	}
}

// FuzzNotice: nothing that anybody says of a node does harm.
func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"type":"hello","node":"n-a-1","name":"a","up":5,"changes":3}`))
	f.Add([]byte(`{"type":"state","node":"n-a-1","changes":3,"on":["a/b",""],"last":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNotice(data)
		if err == nil && (!ValidNode(n.Node) || n.Part < 0) {
			t.Errorf("%+v", n)
		}
	})
}
