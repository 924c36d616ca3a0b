package network

import (
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What waits for slow clients is counted until they have read it, lose it, or are gone.
func TestQueuedIsCounted(t *testing.T) {
	for _, policy := range []SlowConsumer{DropOldest, DropNewest, Conflate} {
		r := start(t, func(o *Options, ep *Endpoint) {
			o.SendBuffer = 16 << 10
			ep.Settings.OutboundLimit, ep.Settings.SlowConsumer = 64<<10, policy
		})
		reads, link := r.sleeper()
		leaves, _ := r.sleeper()
		pub := r.dial("chat")
		fill := strings.Repeat("x", 4<<10)
		queued := func() int64 { return r.stats.Queued.Now() }
		coretest.Eventually(t, "both clients are full, and messages are dropped", func() bool {
			for range 16 {
				pub.send("pub topic:" + fill)
			}
			return r.stats.Dropped[core.ReasonSlow].Load()+r.stats.Dropped[core.ReasonConflated].Load() > 200
		})
		full := queued()
		if full <= 0 || full > 2*(64<<10+2*(4<<10)) {
			t.Errorf("%v: %d bytes are queued for two clients", policy, full)
		}
		_ = leaves.Close()
		coretest.Eventually(t, "one is gone", func() bool { return r.stats.Open.Load() == 2 })
		coretest.Eventually(t, "what is queued is that of the other one", func() bool {
			return int64(of(t, link, (*conn).waiting)) == queued()
		})
		pub.send("pub end")
		for string(reads.read().Payload) != "end" {
		}
		coretest.Eventually(t, "nothing is queued", func() bool { return queued() == 0 })
		if n := r.stats.Queued.Peak(time.Now()); n < full {
			t.Errorf("%v: the peak is %d, but %d were queued", policy, n, full)
		}
	}
}

// Each loop counts how long it works, and no longer than time goes by.
func TestLoopsAreMeasured(t *testing.T) {
	began := time.Now()
	r := start(t, nil)
	c := r.subscriber()
	for range 100 {
		c.send("pub x")
		c.expect("x")
	}
	loops := r.Loops()
	if len(loops) == 0 {
		t.Fatal("there are no loops")
	}
	mails := 0
	for _, l := range loops {
		mails += l.MaxMails
		if l.Busy <= 0 || l.Busy > time.Since(began) {
			t.Errorf("loop %d was busy for %v of %v", l.Index, l.Busy, time.Since(began))
		}
	}
	if mails == 0 {
		t.Error("no mail was ever seen to wait")
	}
	sizes := r.stats.SizesIn.Read(0)
	n := uint64(0)
	for _, count := range sizes.Counts {
		n += count
	}
	if n != r.stats.MessagesIn.Load() {
		t.Errorf("%d sizes of %d messages", n, r.stats.MessagesIn.Load())
	}
}
