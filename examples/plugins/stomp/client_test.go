package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// subscribedFormat is the format whose server tells messages to a subscription that its client has.
type subscribedFormat struct{ *format }

func (f subscribedFormat) NewCodec() core.Codec { return subscribedCodec{f.format.NewCodec().(*codec)} }

type subscribedCodec struct{ *codec }

func (c subscribedCodec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if ev.Kind == core.Message {
		for _, s := range c.subscriptions {
			ev.As = s.label.as
		}
	}
	return c.codec.Encode(dst, ev)
}

// headersText returns headers without a content-type that only repeats the kind of the payload.
func headersText(t *testing.T, headers []byte, kind core.PayloadKind) string {
	if headers == nil {
		return ""
	}
	var all map[string]string
	if err := json.Unmarshal(headers, &all); err != nil {
		t.Fatal(err)
	}
	if all["content-type"] == contentTypes[kind] {
		delete(all, "content-type")
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprint(all)
}

// What a client says, a server hears as it was said, and the other way round.
func TestBothSides(t *testing.T) {
	payload := func(p core.Payload) string { return fmt.Sprintf("%d %q", p.Kind, p.Data) }
	body := func(p core.Payload) string {
		if p.Kind == core.Absent {
			p.Kind = core.Text // SEND without a body is an empty text
		}
		return payload(p)
	}
	coretest.BothSides{
		Format: subscribedFormat{newFormat(options{Host: "/", Login: "me", Passcode: "se:cret"}, 1<<20)},
		Command: func(c core.Command) string {
			switch c.Verb {
			case core.Publish:
				return fmt.Sprintf("publish %q %s %s", c.Topic, body(c.Payload), headersText(t, c.Headers, c.Payload.Kind))
			case core.Call:
				return fmt.Sprintf("call %q %s %v", c.Topic, body(c.Payload), c.OneWay)
			case core.Reply:
				if c.Failure.Failed() {
					return fmt.Sprintf("reply %v %v", c.Call, c.Failure)
				}
				return fmt.Sprintf("reply %v %s", c.Call, body(c.Payload))
			case core.Leave:
				return "leave"
			}
			return fmt.Sprintf("%v %q %v", c.Verb, c.Topic, c.Pattern && core.HasWildcard(string(c.Topic)))
		},
		Event: func(ev core.Event) string {
			switch ev.Kind {
			case core.Message:
				return fmt.Sprintf("message %q %s %s", ev.Topic, payload(ev.Payload), headersText(t, ev.Headers, ev.Payload.Kind))
			case core.Answer:
				return fmt.Sprintf("answer %s", payload(ev.Payload))
			}
			return fmt.Sprintf("%v %v %v", ev.Kind, ev.Verb, ev.Failure)
		},
		Verbs:  []core.Verb{core.Subscribe, core.Unsubscribe, core.Publish, core.Call, core.Reply, core.Leave},
		Events: []core.EventKind{core.Message},
	}.Run(t)
}

// conversation is a client that is connected to a server, with what each has said.
type conversation struct {
	t      *testing.T
	client core.ClientCodec
	server *broker
	told   []core.Event
}

func newConversation(t *testing.T, f *format) *conversation {
	c := &conversation{t: t, client: f.NewClientCodec(), server: &broker{codec: f.NewCodec()}}
	c.client.(core.ClientOpener).Open(func(f core.Frame) { c.server.hear(f.Kind, string(f.Data)) })
	c.flush()
	return c
}

// flush lets the client hear what the server has written.
func (c *conversation) flush() {
	for _, line := range c.server.lines {
		if quoted, ok := strings.CutPrefix(line, "< "); ok {
			var text string
			if _, err := fmt.Sscanf(quoted, "%q", &text); err != nil {
				c.t.Fatal(err)
			}
			c.hear(text)
		}
	}
	c.server.lines = nil
}

func (c *conversation) hear(text string) {
	c.t.Helper()
	if err := c.client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(text)}, func(ev core.Event) { c.told = append(c.told, ev.Clone()) }); err != nil {
		c.t.Errorf("%q: %v", text, err)
	}
}

// say lets the client say cmd, and returns what the server made of it.
func (c *conversation) say(cmd core.Command) string {
	c.t.Helper()
	var made []string
	if _, err := c.client.Say(cmd, func(f core.Frame) { made = append(made, c.server.hear(f.Kind, string(f.Data))); c.flush() }); err != nil {
		return err.Error()
	}
	return strings.Join(made, "; ")
}

func (c *conversation) heard() string {
	var all []string
	for _, ev := range c.told {
		line := fmt.Sprintf("%v %v %s %q", ev.Kind, ev.Verb, ev.Ref, ev.Topic)
		if ev.Kind == core.Request {
			line += fmt.Sprintf(" %q one-way=%v", ev.Payload.Data, ev.OneWay)
		}
		if ev.Failure.Failed() {
			line += " " + ev.Failure.Error()
		}
		all = append(all, line)
	}
	c.told = nil
	return strings.Join(all, "; ")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A client offers services, answers their requests, and gives them up.
func TestClientAnswers(t *testing.T) {
	f := newFormat(options{}, 4096)
	c := newConversation(t, f)
	services := [][]byte{[]byte("shop/price"), []byte("shop/stock")}
	expect(t, c.say(core.Command{Verb: core.Offer, Ref: []byte("r1"), Services: services}),
		`offer service=shop/price; offer service=shop/stock; < "RECEIPT\nreceipt-id:1\n\n\x00"`)
	expect(t, c.heard(), `done offer r1 ""`)
	expect(t, c.say(core.Command{Verb: core.Offer, Services: services[:1]}), "the format has no words for a second offer of the same service")
	as := func(name string) uint32 {
		for _, s := range c.server.codec.(*codec).subscriptions {
			if s.name == name {
				return s.label.as
			}
		}
		return 0
	}
	call := core.CallID{1, 2, 3}
	c.server.tell(core.Event{Kind: core.Request, Call: call, Topic: services[1], As: as("shop/stock"), Payload: core.Payload{Kind: core.Text, Data: []byte("tea?")}})
	c.server.tell(core.Event{Kind: core.Request, OneWay: true, Topic: services[0], As: as("shop/price")})
	c.flush()
	if len(c.told) != 2 || c.told[0].Call != call {
		t.Fatalf("told %+v", c.told)
	}
	expect(t, c.heard(), `request none  "shop/stock" "tea?" one-way=false; request none  "shop/price" "" one-way=true`)
	expect(t, c.say(core.Command{Verb: core.Reply, Call: call, Failure: core.Failure{Code: "sold_out", Text: "no tea"}}), `reply call=0102 failure="sold_out: no tea" text="no tea"`)
	c.server.tell(core.Event{Kind: core.OfferLost, Topic: services[0], As: as("shop/price"), Failure: core.Failure{Code: core.Taken, Text: "by another"}})
	c.flush()
	expect(t, c.say(core.Command{Verb: core.Withdraw, Ref: []byte("r2"), Services: services[1:]}), "")
	expect(t, c.heard(), `offer_lost none  "shop/price" error: you no longer consume /queue/shop/price: by another`)
	expect(t, c.say(core.Command{Verb: core.Withdraw, Ref: []byte("r2"), Services: services[1:]}), "the format has no words for the end of what has not begun: it is not subscribed to, or offered, on this connection")
}

// A request of another broker is answered where it came from, with its correlation-id.
func TestRequestsOfOtherBrokers(t *testing.T) {
	c := newConversation(t, newFormat(options{}, 4096))
	c.say(core.Command{Verb: core.Offer, Services: [][]byte{[]byte("q")}})
	c.told = nil
	c.hear("MESSAGE\nsubscription:1\nmessage-id:m\ndestination:/queue/q\nreply-to:/reply-queue/amq.gen-x\\cy\ncorrelation-id:7\n\nhi\x00")
	if len(c.told) != 1 || c.told[0].Call == (core.CallID{}) {
		t.Fatalf("told %+v", c.told)
	}
	var said []byte
	for range 2 {
		if _, err := c.client.Say(core.Command{Verb: core.Reply, Call: c.told[0].Call}, func(f core.Frame) { said = append(said, f.Data...) }); err != nil {
			t.Fatal(err)
		}
	}
	first, second, _ := bytes.Cut(said, []byte{0})
	expect(t, string(first), "SEND\ndestination:/reply-queue/amq.gen-x\\cy\ncorrelation-id:7\ncontent-length:0\n\n")
	if bytes.Contains(second, []byte("amq.gen")) {
		t.Errorf("a second reply goes to %q", second)
	}
}

// However many requests are not answered, only the newest are remembered.
func TestRequestsAreBounded(t *testing.T) {
	c := newConversation(t, newFormat(options{}, 4096))
	c.say(core.Command{Verb: core.Offer, Services: [][]byte{[]byte("q")}})
	for range 2 * maxRequests {
		c.hear("MESSAGE\nsubscription:1\ndestination:/queue/q\nreply-to:/queue/x\n\n\x00")
		c.told = c.told[len(c.told)-1:]
	}
	codec := c.client.(*clientCodec)
	if _, newest := codec.requests[c.told[0].Call]; len(codec.requests) != maxRequests || len(codec.order) != maxRequests || !newest {
		t.Errorf("%d requests are remembered", len(codec.requests))
	}
}

// What a server says to a client that has subscribed to /topic/a (1), /pattern/b/# (2) and /queue/q (3), and has
// called a service (4).
func TestHear(t *testing.T) {
	for _, tt := range []struct{ said, want string }{
		{"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/topic/a\n\nx\x00", `message none  "a"`},
		{"MESSAGE\nsubscription:1\nmessage-id:1\n\nx\x00", `message none  "a"`},
		{"MESSAGE\nsubscription:2\nmessage-id:1\ndestination:/topic/b/c\n\nx\x00", `message none  "b/c"`},
		{"MESSAGE\nsubscription:9\nmessage-id:1\ndestination:/topic/a\n\nx\x00", ""},
		{"MESSAGE\nsubscription:/temp-queue/calls\ncorrelation-id:4\n\nx\x00", `answer call r4 "s"`},
		{"MESSAGE\nsubscription:/temp-queue/calls\ncorrelation-id:4\nerror-code:gone\n\nx\x00", `failed call r4 "s" gone: x`},
		{"MESSAGE\nsubscription:/temp-queue/calls\ncorrelation-id:5\n\nx\x00", ""},
		{"RECEIPT\nreceipt-id:2\n\n\x00", `done subscribe r2 "b/#"`},
		{"RECEIPT\nreceipt-id:2\n\n\x00RECEIPT\nreceipt-id:2\n\n\x00", `done subscribe r2 "b/#"`},
		{"RECEIPT\nreceipt-id:two\n\n\x00\n\r\n", ""},
		{"ERROR\nreceipt-id:1\nmessage:denied\n\n\x00", `failed subscribe r1 "a" denied`},
		{"ERROR\nmessage:no such thing\n\n see the log\n\x00", `failed none  "" error: no such thing: see the log`},
		{"ERROR\nmessage:lost\nsubscription:3\n\n\x00", `offer_lost none  "q" error: lost`},
		{"MESSAGE\nsubscription:1\ncontent-type:application/json\n\n{\x00", `message none  "a"`},
		{"CONNECTED\nversion:1.2\n\n\x00", "error"},
		{"SEND\ndestination:/topic/a\n\nx\x00", "error"},
		{"HELLO\n\n\x00", "error"},
		{"RECEIPT\nx\n\n\x00", "error"},
	} {
		c := newConversation(t, newFormat(options{}, 4096))
		for i, cmd := range []core.Command{
			{Verb: core.Subscribe, Topic: []byte("a")}, {Verb: core.Subscribe, Topic: []byte("b/#"), Pattern: true},
			{Verb: core.Offer, Services: [][]byte{[]byte("q")}}, {Verb: core.Call, Topic: []byte("s")},
		} {
			cmd.Ref = fmt.Appendf(nil, "r%d", i+1)
			if _, err := c.client.Say(cmd, func(core.Frame) {}); err != nil {
				t.Fatal(err)
			}
		}
		err := c.client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(tt.said)}, func(ev core.Event) { c.told = append(c.told, ev) })
		if got := c.heard(); err != nil && tt.want != "error" || err == nil && got != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.said, got, err, tt.want)
		}
	}
}

// What was told stays what it was when the rest of the message, and the next one, is read.
func TestToldIsKept(t *testing.T) {
	c := newConversation(t, newFormat(options{}, 4096))
	c.say(core.Command{Verb: core.Subscribe, Topic: []byte("a")})
	var told []core.Event
	for _, piece := range []string{
		"MESSAGE\nsubscription:1\ndestination:/topic/a\n\nfir", "st\x00MESSAGE\nsubscription:1\ndestination:/topic/a\n\nsecond, which is long enough",
	} {
		if err := c.client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(piece)}, func(ev core.Event) { told = append(told, ev) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || string(told[0].Topic) != "a" || string(told[0].Payload.Data) != "first" {
		t.Errorf("told %+v", told)
	}
}

// A server that refuses CONNECT says why, and heart-beats are as often as it wants them.
func TestConnecting(t *testing.T) {
	for _, tt := range []struct{ said, want string }{
		{"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\x00", "ready 0s"},
		{"CONNECTED\nversion:1.1\nheart-beat:0,20000\n\n\x00", "ready 10s"},
		{"CONNECTED\nversion:1.2\nheart-beat:5,1\n\n\x00", "ready 500ms"},
		{"CONNECTED\nversion:1.2\nserver:x/1 c:d\\q\n\n\x00", "ready 0s"},
		{"CONNECTED\nversion:1.2\nheart-beat:1,9223372036854775807\n\n\x00", "ready 1281023h53m38.427s"},
		{"CONNECTED\n\n\x00", "no message of a STOMP server: it speaks neither version 1.2 nor 1.1"},
		{"CONNECTED\nversion:1.2\nheart-beat:x\n\n\x00", "no message of a STOMP server: heart-beat is two numbers, as in 0,0"},
		{"MESSAGE\nsubscription:1\n\n\x00", "no message of a STOMP server: the first frame is not CONNECTED"},
		{"ERROR\nmessage:Bad CONNECT\n\nAccess refused for user 'guest'\n\x00", "the server refuses the connection: Bad CONNECT: Access refused for user 'guest'"},
		{"ERROR\nversion:1.2,1.1\nmessage:denied\n\n\x00", "the server refuses the connection: denied"},
	} {
		client := newFormat(options{}, 4096).NewClientCodec()
		err := client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(tt.said)}, func(core.Event) { t.Error("something was told") })
		after, _ := client.KeepAlive()
		got := fmt.Sprintf("ready %v", after)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want || client.Ready() != (err == nil) {
			t.Errorf("%q: %s, ready %v; want %s", tt.said, got, client.Ready(), tt.want)
		}
	}
}

// What stands in CONNECT is one line each.
func TestOptions(t *testing.T) {
	err := protocol().Validate(&options{Login: "a\nb", Host: "x\r"})
	if err == nil || err.Error() != "login: must be one line of text\nhost: must be one line of text" {
		t.Errorf("%v", err)
	}
	if err := protocol().Validate(protocol().Options()); err != nil {
		t.Error(err)
	}
}

// For all bytes, however they are cut: no panic, memory in proportion to the message, and the same events.
func FuzzHear(f *testing.F) {
	for _, message := range []string{
		"MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/topic/a\ncontent-length:3\n\na\x00b\x00", "RECEIPT\nreceipt-id:1\n\n\x00", "\n\r\n",
		"MESSAGE\nsubscription:2\nreply-to:/reply-queue/x\ncorrelation-id:7\n\n\x00MESSAGE\nsubscription:/temp-queue/calls\ncorrelation-id:3\n\n\x00",
		"ERROR\nmessage:no\\c\n\nwhy\x00", "CONNECTED\nversion:1.1\nheart-beat:1,1\n\n\x00",
	} {
		f.Add([]byte(message), uint(len(message)/2), false)
		f.Add([]byte(message), uint(len(message)/3), true)
	}
	format := newFormat(options{}, 4096)
	hear := func(t *testing.T, connected bool, pieces ...[]byte) (told string, failed bool) {
		client := format.NewClientCodec()
		if connected {
			_ = client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte("CONNECTED\nversion:1.2\n\n\x00")}, nil)
			for _, cmd := range []core.Command{
				{Verb: core.Subscribe, Ref: []byte("1"), Topic: []byte("a")}, {Verb: core.Offer, Ref: []byte("2"), Services: [][]byte{[]byte("q")}},
				{Verb: core.Call, Ref: []byte("3"), Topic: []byte("s")},
			} {
				if _, err := client.Say(cmd, func(core.Frame) {}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, piece := range pieces {
			err := client.Hear(core.Frame{Kind: core.BinaryFrame, Data: bytes.Clone(piece)}, func(ev core.Event) {
				told += fmt.Sprintf("%v %s %q %q;", ev.Kind, ev.Ref, ev.Topic, ev.Payload.Data)
			})
			if err != nil {
				return told, true
			}
		}
		return told, false
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint, connected bool) {
		coretest.Frugal(t, len(data), func() {
			client := format.NewClientCodec()
			_ = client.Hear(core.Frame{Kind: core.BinaryFrame, Data: bytes.Clone(data)}, func(core.Event) {})
		})
		cut %= uint(len(data) + 1)
		whole, failed := hear(t, connected, data)
		pieces, failedToo := hear(t, connected, data[:cut], data[cut:])
		if whole != pieces || failed != failedToo {
			t.Errorf("cut at %d: %s (failed %v); whole: %s (failed %v)", cut, pieces, failedToo, whole, failed)
		}
	})
}
