package polywiretest_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

// A program does what an operator does at the command line: it finds the slowest of its clients and ends it, learns why
// another one hears nothing, asks a client of an old format something, watches a message cross from one format to another,
// and finds all of it in its log.
func TestProgramOperates(t *testing.T) {
	cfg := all()
	cfg.Log.Access = "all"
	cfg.Network.SendBuffer = 64 << 10
	for i := range cfg.Endpoints {
		cfg.Endpoints[i].OutboundLimit = 8 << 20
		cfg.Endpoints[i].PingInterval, cfg.Endpoints[i].PongTimeout = -1, -1 // the slow one does not answer
	}
	b := polywiretest.Start(t, cfg)
	for range 50 {
		b.Connect("web")
	}

	// This one does not read what it is told.
	slow, _, _, err := ws.Dial(t.Context(), b.URL("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if err := slow.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	if err := wsutil.WriteClientText(slow, []byte(`{"command":"join","args":{"channel":"flood"}}`)); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "it hears its topic", func() bool {
		all, err := b.Audience(t.Context(), "flood")
		return err == nil && len(all) == 1
	})
	for range 8 { // which is more than sockets take, and less than outbound_limit
		if err := b.Publish("web", "flood", core.Payload{Kind: core.Text, Data: []byte(strings.Repeat("x", 256<<10))}); err != nil {
			t.Fatal(err)
		}
	}
	var slowest core.ConnectionInfo
	coretest.Eventually(t, "somebody is slow", func() bool {
		for one, err := range b.Clients(t.Context(), polywire.ClientFilter{Endpoint: "web"}) {
			if err != nil {
				t.Fatal(err)
			}
			if one.Queued > slowest.Queued {
				slowest = one
			}
		}
		return slowest.Queued > 0
	})
	if slowest.Remote != slow.LocalAddr().String() {
		t.Errorf("the slowest is %+v, want that of %s", slowest, slow.LocalAddr())
	}
	if err := b.CloseClient(t.Context(), slowest.ID, core.ReasonSlow); err != nil {
		t.Error(err)
	}
	b.Log.Expect(`msg="client left"`, "remote="+slowest.Remote, "reason=slow")
	coretest.Eventually(t, "it is the last that was ended", func() bool {
		closed := b.ClosedClients()
		return len(closed) > 0 && closed[0].ID == slowest.ID && closed[0].Reason == core.ReasonSlow
	})

	deaf, hears := b.Connect("telemetry"), b.Connect("web")
	deaf.Subscribe("News/Today")
	hears.Subscribe("news/today")
	message := core.Payload{Kind: core.JSON, Data: []byte(`{"n":1}`)}
	trace, err := b.Trace(t.Context(), polywire.TraceQuery{Topic: "news/today", From: deaf.Connection(), Payload: message})
	if err != nil || !trace.May || trace.Hears != 1 || trace.Receivers[0].ID != hears.Connection() || len(trace.Near) != 1 || trace.Near[0].How != "case" {
		t.Errorf("%+v, %v", trace, err)
	}
	diagnosis, err := b.Doctor(t.Context(), polywire.DoctorQuery{Connection: deaf.Connection(), Topic: "news/today"})
	if err != nil || diagnosis.Healthy || !strings.Contains(diagnosis.Cause, "it has subscribed to News/Today, not to news/today") {
		t.Errorf("%+v, %v", diagnosis, err)
	}
	nobody, err := b.Doctor(t.Context(), polywire.DoctorQuery{From: netip.MustParsePrefix("192.0.2.0/24")})
	if err != nil || nobody.Healthy || !strings.Contains(nobody.Cause, "no client of 192.0.2.0/24 is connected") {
		t.Errorf("%+v, %v", nobody, err)
	}
	b.Log.Expect(`msg="client subscribed"`, "topic=News/Today")

	old := b.Connect("bots")
	old.Answer("bots/echo", func(payload string) (string, error) { return payload, nil })
	if would, err := b.TraceCall(t.Context(), polywire.TraceQuery{Topic: "bots/echo", Endpoint: "telemetry"}); err != nil || !would.Answered || would.Answerers[0].Connection != old.Connection() {
		t.Errorf("%+v, %v", would, err)
	}
	if answer, err := b.Call(t.Context(), "telemetry", "bots/echo", message); err != nil || string(answer.Data) != `{"n":1}` {
		t.Errorf("the old client answers %s, %v", answer.Data, err)
	}

	tap, err := b.Tap(t.Context(), polywire.Tapped{Topic: "news/#"}, core.TapOptions{MaxMessage: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	b.Connect("telemetry").Publish("news/today", `{"n":1}`)
	hears.Expect("news/today", `{"n":1}`)
	saw := make(map[string]string)
	for len(saw) < 2 {
		events, err := tap.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range events {
			switch {
			case ev.Kind == core.TapPublished:
			case ev.FromServer:
				saw["out "+ev.Message.Protocol] = string(ev.Data)
			default:
				saw["in "+ev.Message.Protocol] = string(ev.Data)
			}
		}
	}
	if !strings.Contains(saw["in vws"], `"news/today"`) || saw["out wsify"] != `{"n":1}` {
		t.Errorf("the tap shows %q", saw)
	}
}

// What a tap cannot be on says why.
func TestTapRefused(t *testing.T) {
	b := polywiretest.Start(t, config.Config{Endpoints: []config.Endpoint{{Name: "web", Protocol: "wsify"}}})
	for _, c := range []struct {
		on   polywire.Tapped
		want error
	}{
		{polywire.Tapped{Endpoint: "other"}, core.ErrNoEndpoint},
		{polywire.Tapped{Connection: 7}, core.ErrNoConnection},
		{polywire.Tapped{}, nil},
		{polywire.Tapped{Endpoint: "web", Topic: "a"}, nil},
	} {
		tap, err := b.Tap(t.Context(), c.on, core.TapOptions{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, %v", c.on, tap, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if tap, err := b.Tap(t.Context(), polywire.Tapped{Endpoint: "web"}, core.TapOptions{}); err == nil {
		t.Errorf("a broker that has ended is tapped: %v", tap)
	}
}
