package redis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/frame"
)

// A program that speaks wsify's layout is heard by all clients, and hears them.
func TestForeign(t *testing.T) {
	srv := startRedis(t)
	b, stub, _ := join(t, Options{Node: "a", URL: srv.url()})
	b.Hear(append(hear("news/today", "end"), core.Interest{Name: "news/+", Pattern: true, On: true}))
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := srv.client(t)
	sent := []string{`{"a":1}`, `"x"`, "text", "\xff\xfe", `{"$binary":"/w=="}`, "", "5 \n"}
	for _, m := range sent {
		if err := c.Publish(t.Context(), "news/today", m).Err(); err != nil {
			t.Fatal(err)
		}
	}
	c.Publish(t.Context(), "end", "x")
	coretest.Eventually(t, "the messages come", func() bool { return len(stub.Got("end")) > 0 })
	var got []string
	for _, m := range stub.Got("news/today") {
		got = append(got, fmt.Sprintf("%v %q", m.Payload.Kind, m.Payload.Data))
	}
	want := []string{
		fmt.Sprintf("%v %q", core.JSON, `{"a":1}`), fmt.Sprintf("%v %q", core.JSON, `"x"`), fmt.Sprintf("%v %q", core.Text, "text"),
		fmt.Sprintf("%v %q", core.Binary, "\xff\xfe"), fmt.Sprintf("%v %q", core.Binary, "\xff"), fmt.Sprintf("%v %q", core.Text, ""), fmt.Sprintf("%v %q", core.JSON, "5 \n"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("they come as %q, want %q", got, want)
	}

	sub := c.Subscribe(t.Context(), "news/today")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Publish([]byte("news/today"), core.Payload{Kind: core.JSON, Data: []byte(`{"from":"a node"}`)}, nil)
	b.Publish([]byte("news/today"), text("hello"), nil)
	for _, want := range []any{map[string]any{"from": "a node"}, "hello"} {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal([]byte(m.Payload), &value); err != nil || !reflect.DeepEqual(value, want) {
			t.Errorf("a program hears %q", m.Payload)
		}
	}
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(stub.Got("news/today")); n != len(sent) {
		t.Errorf("%d messages have come, want %d: a node heard itself", n, len(sent))
	}
}

// What makes no sense is refused and counted, and nothing else changes.
func TestGarbage(t *testing.T) {
	// By default the server itself ends a subscriber rather than send it so much.
	srv := startRedis(t, "--client-output-buffer-limit", "pubsub", "0", "0", "0")
	b, other, stub, otherStub := pair(t, srv.url())
	stats := b.o.Stats
	b.Hear(hearAll())
	b.Serve([]core.Service{{Name: "svc", On: true}})
	coretest.Eventually(t, "the service is known", func() bool { return otherStub.Serves("svc") })
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := srv.client(t)
	inbox := "pw:node:" + string(b.id)
	frameOf := func(f frame.Frame) string { return string(f.Append(nil)) }
	call := core.CallID{6: 0x40, 8: 0x80, 15: 1}
	for _, g := range []struct{ name, channel, data string }{
		{"JSON that is none", "x", string(appendMark([]byte("{"), formJSON, 1))},
		{"text that is not UTF-8", "x", string(appendMark([]byte("\xff"), formText, 1))},
		{"text in quotes that is none", "x", string(appendMark([]byte("5"), formQuotedText, 1))},
		{"something absent", "x", string(appendMark([]byte("5"), formAbsent, 1))},
		{"bytes that are not base64", "x", string(appendMark([]byte(`{"$binary":"?"}`), formBase64, 1))},
		{"UTF-16 that is none", "x", string(appendMark([]byte("\xff"), formWide, 1))},
		{"a topic that is not UTF-8", "a\xff", "x"},
		{"a topic that is too long", strings.Repeat("x", maxName+1), "x"},
		{"a huge message", "x", strings.Repeat("x", maxMessage+1)},
		{"no notice", "pw:nodes", "hello"},
		{"a notice of nobody", "pw:nodes", `{"type":"hello","node":"","name":"x"}`},
		{"a notice of a bad name", "pw:nodes", `{"type":"hello","node":"n:x","name":"x"}`},
		{"a huge notice", "pw:nodes", `{"type":"hello","node":"n-x-1","name":"x","on":["` + strings.Repeat("x", 2<<20) + `"]}`},
		{"no event", "pw:channels", "hello"},
		{"an event without a number", "pw:channels", "x\nclaim\nn-x-1-1\nn-x-1\n1\nx1\n[]"},
		{"an event of a bad length", "pw:channels", "1\nclaim\nn-x-1-1\nn-x-1\n99\nx1\n[]"},
		{"an event of nobody", "pw:channels", "1\nclaim\n\n\n1\nx1\n[]"},
		{"an event of an unknown kind", "pw:channels", "1\nboo\nn-x-1-1\nn-x-1\n1\nx"},
		{"an event of services that are none", "pw:channels", "1\nclaim\nn-x-1-1\nn-x-1\n1\nx1\n[5]"},
		{"nothing", inbox, ""},
		{"an unknown version", inbox, "\x09\x01\x05n-x-1"},
		{"an unknown kind", inbox, "\x01\x63\x05n-x-1"},
		{"a call of nobody", inbox, frameOf(frame.Frame{Kind: frame.Ask, Call: call, Service: []byte("svc")})},
		{"a call of this node", inbox, frameOf(frame.Frame{Kind: frame.Ask, From: b.id, Call: call, Service: []byte("svc")})},
		{"a service that is not UTF-8", inbox, frameOf(frame.Frame{Kind: frame.Ask, From: "n-x-1", Call: call, Service: []byte("\xff")})},
		{"a call with JSON that is none", inbox, frameOf(frame.Frame{Kind: frame.Ask, From: "n-x-1", Call: call, Payload: core.Payload{Kind: core.JSON, Data: []byte("{")}})},
		{"an answer to nothing", inbox, frameOf(frame.Frame{Kind: frame.Answer, From: "n-x-1"})},
		{"a cancellation of nothing", inbox, frameOf(frame.Frame{Kind: frame.Cancel, From: "n-x-1"})},
		{"a state that nobody has asked for", inbox, frameOf(frame.Frame{Kind: frame.State, From: "n-x-1", Notice: []byte(`{"type":"state","node":"n-x-1","last":true}`)})},
		{"a length that is not there", inbox, "\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
	} {
		before := refusals(stats)
		if err := c.Publish(t.Context(), g.channel, g.data).Err(); err != nil {
			t.Fatalf("%s: %v", g.name, err)
		}
		coretest.Eventually(t, g.name+" is refused", func() bool { return refusals(stats) > before })
	}
	if n := len(stub.Got("x")); n > 0 {
		t.Errorf("garbage has come: %q", stub.Got("x"))
	}
	reaches(t, other, stub)
	reaches(t, b, otherStub)
	gets(t, b, "mine")
	if err := b.Health(); err != nil {
		t.Error(err)
	}
	if c := stats.Connects.Load(); c != 1 {
		t.Errorf("it connected %d times", c)
	}
	if stub.Asks() > 0 || len(stub.Ends()) > 0 || len(stub.Given()) > 0 {
		t.Errorf("%d calls, %v answers, channels %q", stub.Asks(), stub.Ends(), stub.Given())
	}
}

func refusals(stats *core.ClusterStats) (n uint64) {
	for i := range stats.Refused {
		n += stats.Refused[i].Load()
	}
	return n
}

// No message on a topic reaches the channels of the nodes.
func TestReserved(t *testing.T) {
	srv := startRedis(t)
	a, _, stub, bStub := pair(t, srv.url())
	c := srv.client(t)
	sub := c.PSubscribe(t.Context(), "pw:*")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Hear(append(hearAll(), hear("pw:nodes", "pw:x")...))
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := a.o.Stats.Dropped[core.ReasonReserved].Load()
	a.Publish([]byte("pw:x"), text("mine"), nil)
	if a.o.Stats.Dropped[core.ReasonReserved].Load() != before+1 {
		t.Error("a message on a reserved topic is not counted")
	}
	c.Publish(t.Context(), "pw:x", "theirs")
	reaches(t, a, bStub)
	for seen := false; !seen; {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains([]byte(m.Payload), []byte("mine")) {
			t.Errorf("%q came on %q", m.Payload, m.Channel)
		}
		seen = m.Channel == "pw:x"
	}
	for _, m := range stub.GotAll("pw:") {
		t.Errorf("%q has come on %q", m.Payload.Data, m.Topic)
	}
}

// Strange keys of others do no harm: what makes no sense belongs to nobody.
func TestGarbageInKeys(t *testing.T) {
	srv := startRedis(t)
	c := srv.client(t)
	for channel, value := range map[string]string{
		"x": "garbage", "y": "n-x-1-1\nn-x-1\n5\n1\n[]", "z": "n-x-1-1\nn-x-1\nx\n1\n[]", "w/w": "",
	} {
		c.HSet(t.Context(), "{pw}:owners", channel, value)
	}
	c.HSet(t.Context(), "{pw}:leases", "n-x-1-1", "n-x-1")
	a, b, aStub, bStub := pair(t, srv.url())
	for _, channel := range []string{"x", "y", "z", "w"} {
		gets(t, a, channel)
		coretest.Eventually(t, "b knows it", func() bool { return bStub.Knows(channel) })
		if f := claimNow(t, b, channel); f.Code != core.Taken {
			t.Errorf("b claims %q too: %v", channel, f)
		}
	}
	if len(aStub.Given()) > 0 {
		t.Errorf("somebody owns %q", aStub.Given())
	}
	// A key of another type cannot be used; the node says so, and goes on when it is away.
	c.Del(t.Context(), "{pw}:leases")
	c.Set(t.Context(), "{pw}:leases", "x", 0)
	unwell(t, a, "WRONGTYPE", "prefix")
	c.Del(t.Context(), "{pw}:leases")
	healthy(t, a)
	gets(t, a, "again")
}
