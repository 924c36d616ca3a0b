package nats

import (
	"context"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What waits to be handled is bounded by its bytes, and handled in its order.
func TestIntakeIsBounded(t *testing.T) {
	stats := new(core.ClusterStats)
	var handled []string
	all := make(chan struct{})
	in := newIntake(stats, func(f func()) { f() }, func(m *natsgo.Msg) {
		if handled = append(handled, m.Subject); len(handled) == 3 {
			close(all)
		}
	})
	big := make([]byte, intakeBytes)
	in.put([]*natsgo.Msg{{Subject: "alone it may be larger", Data: big}, {Subject: "dropped", Data: []byte("x")}})
	if n := stats.Dropped[core.ReasonOverload].Load(); n != 1 {
		t.Errorf("%d are counted as dropped", n)
	}
	in.ch <- &natsgo.Msg{Subject: "a"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in.run(ctx)
	}()
	coretest.Eventually(t, "there is room again", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.bytes == 0 && len(in.ch) == 0
	})
	if n := stats.Dropped[core.ReasonOverload].Load(); n == 2 {
		in.ch <- &natsgo.Msg{Subject: "a"} // it came while the large one was handled
	}
	in.ch <- &natsgo.Msg{Subject: "b"}
	coretest.Receive(t, "all are handled", all)
	cancel()
	<-ended
	if handled[1] != "a" || handled[2] != "b" {
		t.Errorf("handled: %q", handled)
	}
}

// What the client drops is counted, also after it has said so.
func TestDropsOfTheClient(t *testing.T) {
	srv := startExternal(t, nil)
	stats := new(core.ClusterStats)
	d := newDrops(stats)
	nc, err := natsgo.Connect(srv.ClientURL(), natsgo.ErrorHandler(func(_ *natsgo.Conn, sub *natsgo.Subscription, _ error) { d.began(sub) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.ChanQueueSubscribe("x", "q", make(chan *natsgo.Msg, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{9, 19} {
		for range 10 {
			_ = nc.Publish("x", nil)
		}
		coretest.Eventually(t, "the drops are counted", func() bool {
			d.count()
			return stats.Dropped[core.ReasonOverload].Load() == n
		})
	}
	_ = sub.Unsubscribe()
	coretest.Eventually(t, "a subscription that has ended is forgotten", func() bool {
		d.count()
		return len(d.seen) == 0
	})
}
