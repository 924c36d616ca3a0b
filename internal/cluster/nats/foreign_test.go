package nats

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/frame"
)

// What any program publishes comes to clients, and it sees what they publish as it is.
func TestForeignTopics(t *testing.T) {
	srv := startExternal(t, nil)
	b, stub, stats := join(t, srv, "a")
	nc := dial(t, srv)
	b.Hear([]core.Interest{{Name: "a/#", Pattern: true, On: true}})
	sub, err := nc.SubscribeSync("pw.t.>")
	if err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "the node hears", func() bool {
		_ = nc.Publish("pw.t.a.ready", nil)
		_ = nc.Flush()
		return len(stub.Got("a/ready")) > 0
	})
	for data, kind := range map[string]core.PayloadKind{`{"x": 1}`: core.JSON, "hello": core.Text, "\xff\xfe": core.Binary, "": core.Text} {
		before := len(stub.Got("a/b c"))
		if err := nc.Publish("pw.t.a.b%20c", []byte(data)); err != nil {
			t.Fatal(err)
		}
		coretest.Eventually(t, "the message comes", func() bool { return len(stub.Got("a/b c")) > before })
		if got := stub.Got("a/b c")[before]; got.Payload.Kind != kind || string(got.Payload.Data) != data || got.Headers != "" {
			t.Errorf("%q comes as %+v", data, got)
		}
	}
	for ; ; _ = nc.Flush() {
		if n, _, _ := sub.Pending(); n == 0 {
			break
		}
		if _, err := sub.NextMsg(time.Second); err != nil {
			break
		}
	}
	b.Publish([]byte("x//y z"), core.Payload{Kind: core.JSON, Data: []byte(`{"x": 1}`)}, nil)
	var m *natsgo.Msg
	for m == nil || strings.HasSuffix(m.Subject, "ready") {
		if m, err = sub.NextMsg(coretest.Patience); err != nil {
			t.Fatal(err)
		}
	}
	if m.Subject != "pw.t.x.%.y%20z" || string(m.Data) != `{"x": 1}` || len(m.Header) > 0 {
		t.Errorf("the program gets %+v", m)
	}
	if stats.MessagesIn.Load() < 5 || stats.MessagesOut.Load() != 1 || stats.BytesOut.Load() != 8 {
		t.Errorf("counted: %d in, %d out, %d bytes", stats.MessagesIn.Load(), stats.MessagesOut.Load(), stats.BytesOut.Load())
	}
}

// A program's request is answered by a client, also of a channel's service.
func TestForeignRequests(t *testing.T) {
	srv := startExternal(t, nil)
	nc := dial(t, srv)
	var nodes []*Backplane
	for _, name := range []string{"a", "b"} {
		b, stub, _ := join(t, srv, name)
		stub.AnswerBy(func(from core.NodeID, q core.Question) {
			switch {
			case from != foreignNode || q.Timeout <= 0:
				t.Errorf("%s is asked by %s, for %v", name, from, q.Timeout)
			case string(q.Payload.Data) == "fail":
				b.Answer(from, q.Call, core.Outcome{Failure: core.Failure{Code: "E1", Text: "no\nway"}})
			case q.Call != core.CallID{}:
				b.Answer(from, q.Call, core.Outcome{Answer: core.Payload{Kind: core.Text, Data: append([]byte(name+" "+string(q.Service)+" "), q.Payload.Data...)}})
				b.Answer(from, q.Call, core.Outcome{Answer: core.Payload{Kind: core.Text, Data: []byte("twice")}})
			}
		})
		b.Serve([]core.Service{{Name: "my svc/x", On: true}})
		nodes = append(nodes, b)
	}
	request := func(subject, data string) (*natsgo.Msg, error) {
		var m *natsgo.Msg
		var err error
		coretest.Eventually(t, "somebody offers "+subject, func() bool {
			m, err = nc.Request(subject, []byte(data), coretest.Patience)
			return !errors.Is(err, natsgo.ErrNoResponders)
		})
		return m, err
	}
	asked := map[string]bool{}
	coretest.Eventually(t, "both nodes are asked", func() bool {
		m, err := request("pw.s.my%20svc.x", "hi")
		if err != nil {
			t.Fatal(err)
		}
		asked[string(m.Data)] = true
		return len(asked) == 2
	})
	if !asked["a my svc/x hi"] || !asked["b my svc/x hi"] {
		t.Errorf("the answers are %v", asked)
	}
	m, err := request("pw.s.my%20svc.x", "fail")
	if err != nil || m.Header.Get("Nats-Service-Error-Code") != "E1" || m.Header.Get("Nats-Service-Error") != "no%0Away" {
		t.Errorf("the failure is %+v, %v", m, err)
	}
	if f := claimNow(t, nodes[0], "ch", "", "m"); f.Failed() {
		t.Fatal(f)
	}
	for _, subject := range []string{"pw.s.ch", "pw.s.ch.m"} {
		if m, err := request(subject, "hi"); err != nil || !strings.HasPrefix(string(m.Data), "a ch") {
			t.Errorf("%s is answered by %+v, %v", subject, m, err)
		}
	}
	nodes[0].Release("ch")
	nodes[0].Serve([]core.Service{{Name: "my svc/x"}})
	nodes[1].Serve([]core.Service{{Name: "my svc/x"}})
	for _, subject := range []string{"pw.s.ch", "pw.s.ch.m", "pw.s.my%20svc.x"} {
		coretest.Eventually(t, "nobody offers "+subject, func() bool {
			_, err := nc.Request(subject, nil, time.Second)
			return errors.Is(err, natsgo.ErrNoResponders)
		})
	}
}

// Calls of strangers that nobody answers are not kept without a bound.
func TestForeignCallsAreBounded(t *testing.T) {
	f := newForeign(subjects{"pw"}, new(core.ClusterStats), nil)
	for range foreignCalls {
		if _, ok := f.remember("r", time.Hour); !ok {
			t.Fatal("too few")
		}
	}
	if _, ok := f.remember("r", time.Hour); ok {
		t.Error("more than the bound")
	}
	for id, c := range f.calls {
		c.until = time.Now().Add(-time.Second)
		f.calls[id] = c
	}
	f.swept = time.Time{}
	if _, ok := f.remember("r", time.Hour); !ok || len(f.calls) != 1 {
		t.Errorf("%d calls are kept after their time", len(f.calls))
	}
}

// Nonsense under our subjects is counted and does no harm.
func TestGarbage(t *testing.T) {
	srv := startExternal(t, nil)
	b, stub, stats := join(t, srv, "a")
	other, otherStub, _ := join(t, srv, "b")
	nc := dial(t, srv)
	b.Hear([]core.Interest{{Name: "#", Pattern: true, On: true}, {Name: "sync", On: true}})
	other.Hear(hear1("sync"))
	reaches(t, b, otherStub)
	reaches(t, other, stub)
	b.Serve([]core.Service{{Name: "svc", On: true}})
	coretest.Eventually(t, "the service is known", func() bool { return otherStub.Serves("svc") })

	inbox := b.subjects.node(b.id)
	header := func(pairs ...string) natsgo.Header {
		h := natsgo.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	frameOf := func(f frame.Frame) string { return string(f.Append(nil)) }
	call := core.CallID{6: 0x40, 8: 0x80, 15: 1}
	me := string(b.id)
	for _, c := range []struct {
		name, subject string
		header        natsgo.Header
		data          string
	}{
		{"an unknown kind", "pw.t.x", header(kindHeader, "no"), "x"},
		{"no JSON", "pw.t.x", header(kindHeader, "json"), "{"},
		{"no UTF-8", "pw.t.x", header(kindHeader, "text"), "\xff"},
		{"no UTF-16", "pw.t.x", header(kindHeader, "utf16"), "xyz"},
		{"headers that are no object", "pw.t.x", header(headersHeader, "[]"), "x"},
		{"headers that are no strings", "pw.t.x", header(headersHeader, `{"a":1}`), "x"},
		{"a subject that no topic has", "pw.t.a/b", nil, "x"},
		{"another such", "pw.t.a%41", nil, "x"},
		{"a topic that is not UTF-8", "pw.t.a\xff", nil, "x"},
		{"no notice", "pw.nodes", nil, "hello"},
		{"a notice of nobody", "pw.nodes", nil, `{"type":"hello","node":"","name":"x"}`},
		{"a notice of a bad name", "pw.nodes", nil, `{"type":"hello","node":"n.>","name":"x"}`},
		{"a notice of this node", "pw.nodes", nil, `{"type":"bye","node":"` + me + `"}`},
		{"services that are no names", "pw.nodes", nil, `{"type":"services","node":"n-x-1","changes":1,"on":[5]}`},
		{"a state for all", "pw.nodes", nil, `{"type":"state","node":"n-x-1","changes":1,"last":true}`},
		{"a huge notice", "pw.nodes", nil, `{"type":"hello","node":"n-x-1","name":"x","on":["` + strings.Repeat("x", 900_000) + `"]}`},
		{"nothing", inbox, nil, ""},
		{"an unknown version", inbox, nil, "\x09\x01\x05n-x-1"},
		{"an unknown kind of frame", inbox, nil, "\x01\x63\x05n-x-1"},
		{"a call of nobody", inbox, nil, frameOf(frame.Frame{Kind: frame.Ask, Call: call, Service: []byte("svc")})},
		{"a call of this node", inbox, nil, frameOf(frame.Frame{Kind: frame.Ask, From: b.id, Call: call, Service: []byte("svc")})},
		{"a call of the programs", inbox, nil, frameOf(frame.Frame{Kind: frame.Ask, From: foreignNode, Call: call, Service: []byte("svc")})},
		{"a call with JSON that is none", inbox, nil, frameOf(frame.Frame{Kind: frame.Ask, From: "n-x-1", Call: call, Service: []byte("svc"), Payload: core.Payload{Kind: core.JSON, Data: []byte("{")}})},
		{"an answer to nothing", inbox, nil, frameOf(frame.Frame{Kind: frame.Answer, From: "n-x-1"})},
		{"a state that nobody asked for", inbox, nil, frameOf(frame.Frame{Kind: frame.State, From: other.id, Notice: []byte(`{"type":"state","node":"` + string(other.id) + `","changes":9,"on":["fake"],"last":true}`)})},
		{"who may not ask for it", inbox, nil, frameOf(frame.Frame{Kind: frame.Describe, From: "n-x-1"})},
		{"a request that cannot be read", "pw.s.svc", header(kindHeader, "json"), "{"},
	} {
		before := refusals(stats)
		if err := nc.PublishMsg(&natsgo.Msg{Subject: c.subject, Header: c.header, Data: []byte(c.data)}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		coretest.Eventually(t, c.name+" is counted", func() bool { return refusals(stats) > before })
	}
	if n := len(stub.Got("x")); n > 0 || stub.Asks() > 0 {
		t.Errorf("%d messages and %d calls of nonsense have come through", n, stub.Asks())
	}

	// A hundred megabytes: the server refuses what is larger than its limit, and the node bears
	// what is not.
	if err := nc.Publish("pw.t.big", make([]byte, 100<<20)); !errors.Is(err, natsgo.ErrMaxPayload) {
		t.Errorf("100 MiB: %v", err)
	}
	for range 100 {
		_ = nc.Publish("pw.t.big", bytes.Repeat([]byte{0xff}, 1<<20))
	}
	reaches(t, other, stub)
	healthy(t, b)
}

func refusals(stats *core.ClusterStats) uint64 {
	n := uint64(0)
	for i := range stats.Refused {
		n += stats.Refused[i].Load()
	}
	return n
}

// Strangers that pretend to be nodes are gone again.
func TestForgedNodes(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, nil)
	_, stub, stats := join(t, srv, "a")
	nc := dial(t, srv)
	const forged = 100
	for i := range forged {
		_ = nc.Publish("pw.nodes", fmt.Appendf(nil, `{"type":"hello","node":"n-x-%d","name":"x","changes":7}`, i))
		_ = nc.Publish("pw.nodes", fmt.Appendf(nil, `{"type":"services","node":"n-x-%d","changes":1,"on":["fake.%d"]}`, i, i))
	}
	coretest.Eventually(t, "they are gone", func() bool { return stub.Departures() >= forged && stats.Nodes.Load() == 0 })
}

// Wrong values in the bucket are counted. An owner whose entry is overwritten has lost its
// channel.
func TestGarbageInTheBucket(t *testing.T) {
	t.Parallel() // it waits most of the time
	srv := startExternal(t, nil)
	a, stubA, statsA := join(t, srv, "a")
	b, stubB, _ := join(t, srv, "b")
	if f := claimNow(t, a, "x"); f.Failed() {
		t.Fatal(f)
	}
	coretest.Eventually(t, "b knows it", func() bool { return stubB.Knows("x") })
	js, err := jetstream.New(dial(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "pw_channels")
	if err != nil {
		t.Fatal(err)
	}
	before := refusals(statsA)
	for key, value := range map[string]string{
		"c.y": "nonsense", "c.z": `{"node":"` + string(b.id) + `","lease":"none"}`, "c.w": `{"node":"n-x-1","lease":"` + a.channels.own.Lease() + `"}`,
		"other": "x", "c.=zz": "{}", "lease.n-x-1": `{"node":"*"}`,
	} {
		if _, err := kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	coretest.Eventually(t, "nonsense is counted", func() bool { return refusals(statsA) >= before+4 })
	for _, channel := range []string{"y", "z", "w"} {
		if f := claimNow(t, b, channel); f.Failed() {
			t.Errorf("b claims %q: %v", channel, f)
		}
		if stubB.Knows(channel) {
			t.Errorf("b is told that somebody has %q", channel)
		}
	}
	if _, err := kv.PutString(t.Context(), "c.x", "nonsense"); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "a has lost x", func() bool { return stubA.HasLost("x") && statsA.Lost.Load() == 1 })
	coretest.Eventually(t, "b is told", func() bool { return stubB.IsFree("x") })
	if f := claimNow(t, b, "x"); f.Failed() {
		t.Error(f)
	}
	// The whole bucket is gone: it is made anew, and who owned something has lost it.
	if err := js.DeleteKeyValue(t.Context(), "pw_channels"); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "b has lost all", func() bool {
		return stubB.HasLost("x") && stubB.HasLost("y")
	})
	coretest.Eventually(t, "channels can be owned again", func() bool { return !claimNow(t, a, "again").Failed() })
}
