package nats

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// counter is an engine that counts.
type counter struct {
	*clustertest.Recorder

	n atomic.Int64
}

func (c *counter) Published([]byte, core.Payload, []byte) { c.n.Add(1) }

// BenchmarkOneSubscriber publishes to one subscriber over one server, with plain NATS and with
// backplanes. All parties are in this process.
func BenchmarkOneSubscriber(b *testing.B) {
	payload := []byte(`{"event":"tick","seq":123456,"data":"0123456789012345678901234567890123456789"}`)
	// What is not read is dropped: the publisher waits for the subscriber now and then.
	const ahead = 4000
	await := func(b *testing.B, what *atomic.Int64, n int) {
		for deadline := time.Now().Add(time.Minute); what.Load() < int64(n); time.Sleep(20 * time.Microsecond) {
			if time.Now().After(deadline) {
				b.Fatalf("%d of %d messages came", what.Load(), n)
			}
		}
	}
	b.Run("plain", func(b *testing.B) {
		srv := startExternal(b, nil)
		from, to := dial(b, srv), dial(b, srv)
		ch := make(chan *natsgo.Msg, 8192)
		var got atomic.Int64
		if _, err := to.ChanSubscribe("x.y", ch); err != nil {
			b.Fatal(err)
		}
		_ = to.Flush()
		go func() {
			for range ch {
				got.Add(1)
			}
		}()
		b.ResetTimer()
		for i := range b.N {
			_ = from.Publish("x.y", payload)
			if i > ahead {
				await(b, &got, i-ahead)
			}
		}
		await(b, &got, b.N)
	})
	b.Run("backplane", func(b *testing.B) {
		srv := startExternal(b, nil)
		to := &counter{Recorder: clustertest.NewRecorder("b")}
		receiver, _ := startNode(b, Options{Node: "b", URL: srv.ClientURL()}, to)
		b.Cleanup(receiver.Close)
		sender, _ := startNode(b, Options{Node: "a", URL: srv.ClientURL()}, clustertest.NewRecorder(""))
		b.Cleanup(sender.Close)
		receiver.Hear(hear1("x/y"))
		topic := []byte("x/y")
		p := core.Payload{Kind: core.JSON, Data: payload}
		coretest.Eventually(b, "the subscriber hears", func() bool {
			sender.Publish(topic, p, nil)
			return to.n.Load() > 0
		})
		time.Sleep(100 * time.Millisecond)
		to.n.Store(0)
		b.ResetTimer()
		for i := range b.N {
			sender.Publish(topic, p, nil)
			if i > ahead {
				await(b, &to.n, i-ahead)
			}
		}
		await(b, &to.n, b.N)
	})
}

// BenchmarkPublish is what a publish costs its caller.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			srv := startExternal(b, nil)
			sender, _ := startNode(b, Options{Node: "a", URL: srv.ClientURL(), OutboxBytes: 1 << 30}, clustertest.NewRecorder(""))
			b.Cleanup(sender.Close)
			healthy(b, sender)
			p := core.Payload{Kind: core.JSON, Data: make([]byte, size)}
			topic := []byte("a/topic/of/levels")
			b.ReportAllocs()
			for b.Loop() {
				sender.Publish(topic, p, nil)
			}
		})
	}
}

// BenchmarkClaim claims channels, many at once, and releases them.
func BenchmarkClaim(b *testing.B) {
	srv := startExternal(b, nil)
	node, _ := startNode(b, Options{Node: "a", URL: srv.ClientURL()}, clustertest.NewRecorder(""))
	b.Cleanup(node.Close)
	healthy(b, node)
	var n atomic.Int64
	b.SetParallelism(100)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			channel := fmt.Sprint("x/", n.Add(1))
			if f := claimNow(b, node, channel); f.Failed() {
				b.Error(f)
			}
			node.Release(channel)
		}
	})
}
