package nats

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// answering is an engine that answers each call with its payload, and counts answers and messages.
type answering struct {
	*clustertest.Recorder

	b        *Backplane // static after the start
	answered chan struct{}
	n        atomic.Int64
}

func (a *answering) Asked(from core.NodeID, q core.Question) {
	a.b.Answer(from, q.Call, core.Outcome{Answer: q.Payload})
}
func (a *answering) Answered(core.NodeID, core.CallID, core.Outcome) { a.answered <- struct{}{} }
func (a *answering) Published([]byte, core.Payload, []byte)          { a.n.Add(1) }

// embeddedPair starts two nodes with embedded servers.
func embeddedPair(b *testing.B) (from, to *answering) {
	options := embeddedOptions(b)
	for _, each := range []struct {
		name string
		node **answering
	}{{"a", &from}, {"b", &to}} {
		a := &answering{Recorder: clustertest.NewRecorder(each.name), answered: make(chan struct{}, 1024)}
		a.b, _ = startNode(b, options[each.name], a)
		b.Cleanup(a.b.Close)
		*each.node = a
	}
	healthy(b, from.b)
	healthy(b, to.b)
	coretest.Eventually(b, "the nodes know each other", func() bool { return from.b.nodes.Known(to.b.ID()) && to.b.nodes.Known(from.b.ID()) })
	return from, to
}

// reportCPU reports the processor time of this process, user and system, for each operation from
// its call to the returned one.
func reportCPU(b *testing.B) (report func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Nanoseconds())/1000/float64(b.N), "µsCPU/op") }
}

// BenchmarkHopCall is a call over a hop and its answer: 64 at a time, without clients.
func BenchmarkHopCall(b *testing.B) {
	from, to := embeddedPair(b)
	question := func() core.Question {
		return core.Question{Call: core.NewCallID(), Service: []byte("bench/echo"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`{"n":1,"text":"0123456789012345"}`)}, Timeout: time.Minute}
	}
	report := reportCPU(b)
	b.ResetTimer()
	for range min(64, b.N) {
		from.b.Ask(to.b.ID(), question())
	}
	for i := range b.N {
		<-from.answered
		if i+64 < b.N {
			from.b.Ask(to.b.ID(), question())
		}
	}
	b.StopTimer()
	report()
}

// BenchmarkHopPublish publishes to one subscriber over a hop, 1024 messages ahead.
func BenchmarkHopPublish(b *testing.B) {
	from, to := embeddedPair(b)
	to.b.Hear(hear1("bench/tick"))
	topic, p := []byte("bench/tick"), core.Payload{Kind: core.JSON, Data: make([]byte, 128)}
	coretest.Eventually(b, "the subscriber hears", func() bool {
		from.b.Publish(topic, p, nil)
		return to.n.Load() > 0
	})
	if err := from.b.Sync(b.Context()); err != nil { // nothing is on its way then
		b.Fatal(err)
	}
	to.n.Store(0)
	report := reportCPU(b)
	b.ResetTimer()
	for i := range b.N {
		from.b.Publish(topic, p, nil)
		for i-int(to.n.Load()) >= 1024 {
			time.Sleep(50 * time.Microsecond)
		}
	}
	for to.n.Load() < int64(b.N) {
		time.Sleep(50 * time.Microsecond)
	}
	b.StopTimer()
	report()
}
