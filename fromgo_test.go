package polywire_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	clients "github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

// TestOperateFromGo: a program finds the slowest of many clients and ends it, learns why another one hears nothing,
// asks a client of an old format something, and finds in the log what was refused.
func TestOperateFromGo(t *testing.T) {
	b := polywiretest.Start(t, config.Config{Endpoints: []config.Endpoint{
		{Name: "feed", Protocol: "vws", OutboundLimit: 64 << 20, Options: &vws.Options{MaxEventSize: 1 << 20}},
		{Name: "rooms", Protocol: "wsify", ACL: &config.ACL{Subscribe: allow(t, "news/#")}},
		{Name: "bots", Protocol: "wubsub"},
	}})
	ctx := t.Context()

	// Of many clients one does not read.
	reads := make(chan struct{})
	slow := b.Connect("feed", func(o *clients.Options) { o.Heard = func(core.Event) { <-reads } })
	slow.Subscribe("prices")
	for range 20 {
		b.Connect("feed", func(o *clients.Options) { o.Heard = func(core.Event) {} }).Subscribe("prices")
	}
	big := core.Sniff([]byte(`"` + strings.Repeat("x", 256<<10) + `"`))
	var slowest core.ConnectionInfo
	coretest.Eventually(t, "more waits for one client than for all others", func() bool {
		if slowest.Queued <= 1<<20 {
			if err := b.Publish("feed", "prices", big); err != nil {
				t.Fatal(err)
			}
		}
		var all []core.ConnectionInfo
		for one, err := range b.Clients(ctx, polywire.ClientFilter{Endpoint: "feed", Topic: "prices"}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
		}
		slices.SortFunc(all, func(a, b core.ConnectionInfo) int { return cmp.Compare(b.Queued, a.Queued) })
		slowest = all[0]
		return len(all) == 21 && slowest.Queued > 1<<20 && all[1].Queued == 0
	})
	if slowest.ID != slow.Connection() {
		t.Fatalf("the slowest is %+v", slowest)
	}
	if err := b.CloseClient(ctx, slowest.ID, core.ReasonSlow); err != nil {
		t.Fatal(err)
	}
	close(reads) // so that it reads its goodbye
	if closed, ok := errors.AsType[*clients.CloseError](slow.ExpectClosed()); !ok || closed.Code != 1013 {
		t.Errorf("the slowest is ended with %v", slow.ExpectClosed())
	}
	b.Log.Expect("client left", fmt.Sprintf("conn=%d", slowest.ID), "reason=slow")
	coretest.Eventually(t, "it is the last that has left", func() bool {
		closed := b.ClosedClients()
		return len(closed) == 1 && closed[0].ID == slowest.ID && closed[0].Reason == core.ReasonSlow
	})

	// Its format has no words for a refusal, so a client waits for messages on a topic that it may not hear.
	waits := b.Connect("rooms")
	waits.Subscribe("prices")
	one, has, err := b.Client(ctx, waits.Connection())
	if err != nil || len(has.Topics)+len(has.Patterns) > 0 {
		t.Errorf("it hears %+v, %v", has, err)
	}
	line := b.Log.Expect("message refused", fmt.Sprintf("conn=%d", one.ID))
	for _, part := range []string{"endpoint=rooms", "verb=subscribe", "topic=prices", "reason=denied"} {
		if !strings.Contains(line, part) {
			t.Errorf("%s is missing in %s", part, line)
		}
	}

	// A client of an old format is asked something.
	b.Connect("bots").Answer("bot/battery", func(string) (string, error) { return `{"percent":80}`, nil })
	answer, err := b.Call(ctx, "rooms", "bot/battery", core.Payload{})
	if err != nil || string(answer.Data) != `{"percent":80}` {
		t.Errorf("the bot says %s, %v", answer.Data, err)
	}
}

// allow is an access list.
func allow(t *testing.T, topics ...string) (lists config.ACLists) {
	t.Helper()
	for _, topic := range topics {
		one, err := core.ParseTemplate(topic)
		if err != nil {
			t.Fatal(err)
		}
		lists.Allow = append(lists.Allow, one)
	}
	return lists
}
