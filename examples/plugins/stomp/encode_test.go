package main

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// subscribed returns a broker whose client has subscribed, and the As of its
// subscription.
func subscribed(t *testing.T, f *format, version, headers string) (*broker, uint32) {
	t.Helper()
	b := connected(t, f, version)
	if got := b.hear(core.TextFrame, "SUBSCRIBE\n"+headers+"\n\n\x00"); strings.Contains(got, "refuse") {
		t.Fatal(got)
	}
	for _, s := range b.codec.(*codec).subscriptions {
		return b, s.label.as
	}
	panic("unreachable")
}

func (b *broker) read(ev core.Event) string {
	b.lines = nil
	b.tell(ev)
	return strings.Join(b.lines, "; ")
}

func TestMessages(t *testing.T) {
	text := core.Payload{Kind: core.Text, Data: []byte("é")}
	tests := []struct {
		name, version, subscribe string
		ev                       core.Event
		want                     string
	}{
		{
			"text", "1.2", "id:0\ndestination:/topic/a",
			core.Event{Topic: []byte("a"), Payload: text},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/topic/a\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"JSON", "1.2", "id:0\ndestination:/topic/a",
			core.Event{Topic: []byte("a"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`[1]`)}},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/topic/a\ncontent-type:application/json\ncontent-length:3\n\n[1]\x00"`,
		},
		{
			"bytes", "1.2", "id:0\ndestination:/topic/a",
			core.Event{Topic: []byte("a"), Payload: core.Payload{Kind: core.Binary, Data: []byte("\xff\x00")}},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/topic/a\ncontent-type:application/octet-stream\ncontent-length:2\n\n\xff\x00\x00"`,
		},
		{
			"nothing", "1.2", "id:0\ndestination:/topic/a",
			core.Event{Topic: []byte("a")},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/topic/a\ncontent-length:0\n\n\x00"`,
		},
		{
			"ack", "1.2", "id:0\ndestination:/topic/a\nack:client",
			core.Event{Topic: []byte("a"), Payload: text},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/topic/a\nack:1\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"escapes", "1.2", "id:a\\cb\ndestination:/topic/a",
			core.Event{Topic: []byte("a:\r\n\\b"), Payload: text},
			`< "MESSAGE\nsubscription:a\\cb\nmessage-id:1\ndestination:/topic/a\\c\\r\\n\\\\b\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"escapes of 1.1", "1.1", "id:a\\cb\ndestination:/topic/a",
			core.Event{Topic: []byte("a:\r\n\\b"), Payload: text},
			`< "MESSAGE\nsubscription:a\\cb\nmessage-id:1\ndestination:/topic/a\\c\r\\n\\\\b\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"headers", "1.2", "id:0\ndestination:/topic/a",
			core.Event{
				Topic: []byte("a"), Payload: text,
				Headers: []byte(`{"content-type":"text/csv","x:y":"1\n2","subscription":"9","n":7,"":"z","nul":"\u0000"}`),
			},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/topic/a\ncontent-type:text/csv\nx\\cy:1\\n2\ncontent-length:2\n\né\x00"`,
		},
		{"a topic that cannot be written", "1.2", "id:0\ndestination:/topic/a", core.Event{Topic: []byte("a\x00b"), Payload: text}, "unwritable"},
		{
			"request", "1.2", "id:0\ndestination:/queue/q",
			core.Event{Kind: core.Request, Topic: []byte("q"), Call: core.CallID{0x12}, Payload: text},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/queue/q\nreply-to:/reply-queue/12000000-0000-0000-0000-000000000000\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"one-way request", "1.2", "id:0\ndestination:/queue/q",
			core.Event{Kind: core.Request, Topic: []byte("q"), OneWay: true, Payload: text},
			`< "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/queue/q\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"answer", "1.2", "id:7\ndestination:/temp-queue/me",
			core.Event{Kind: core.Answer, Ref: []byte("Q\x00/temp-queue/me\x00c1"), Payload: text},
			`< "MESSAGE\nsubscription:7\nmessage-id:1\ndestination:/temp-queue/me\ncorrelation-id:c1\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"answer that nobody subscribed to", "1.2", "id:7\ndestination:/topic/me",
			core.Event{Kind: core.Answer, Ref: []byte("Q\x00/temp-queue/me\x00"), Payload: text},
			`< "MESSAGE\nsubscription:/temp-queue/me\nmessage-id:1\ndestination:/temp-queue/me\ncontent-type:text/plain\ncontent-length:2\n\né\x00"`,
		},
		{
			"failure of a call", "1.2", "id:7\ndestination:/temp-queue/me",
			core.Event{
				Kind: core.Failed, Verb: core.Call, Ref: []byte("Q\x00/temp-queue/me\x00"), Failure: core.Failure{Code: "timeout", Text: "late"},
			},
			`< "MESSAGE\nsubscription:7\nmessage-id:1\ndestination:/temp-queue/me\nerror-code:timeout\ncontent-type:text/plain\ncontent-length:4\n\nlate\x00"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, as := subscribed(t, newFormat(options{}, 4096), tt.version, tt.subscribe)
			tt.ev.As = as
			if tt.ev.Kind == 0 {
				tt.ev.Kind = core.Message
			}
			if got := b.read(tt.ev); got != tt.want {
				t.Errorf(" got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		ev   core.Event
		want string
	}{
		{
			"publish",
			core.Event{Verb: core.Publish, Failure: core.Failure{Code: core.NotOwner, Text: "not yours"}},
			`< "ERROR\nmessage:not yours\n\n\x00"; end not_owner`,
		},
		{
			"with a receipt",
			core.Event{Verb: core.Subscribe, Ref: []byte("Rr1"), Failure: core.Failure{Code: core.Denied}},
			`< "ERROR\nreceipt-id:r1\nmessage:denied\n\n\x00"; end denied`,
		},
		{"a message that no consumer takes", core.Event{Verb: core.Call, Ref: []byte("Q\x00\x00"), Failure: core.Failure{Code: core.NoService}}, ""},
		{
			"that with a receipt",
			core.Event{Verb: core.Call, Ref: []byte("Qr\x00\x00"), Failure: core.Failure{Code: core.NoService}},
			`< "ERROR\nreceipt-id:r\nmessage:no_service\n\n\x00"; end no_service`,
		},
		{"a reply that comes too late", core.Event{Verb: core.Reply, Ref: []byte("Rr"), Failure: core.Failure{Code: core.Invalid}}, `< "RECEIPT\nreceipt-id:r\n\n\x00"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := connected(t, newFormat(options{}, 4096), "1.2")
			tt.ev.Kind = core.Failed
			if got := b.read(tt.ev); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if !strings.Contains(tt.want, "ERROR") {
				return
			}
			if got := b.read(core.Event{Kind: core.Done, Ref: []byte("R2")}); got != "" {
				t.Errorf("after ERROR: %s", got)
			}
		})
	}
}

// A consumer that has lost its queue is told so with its subscription, and that is the end. The
// loss of what it does not consume, or no longer, is nothing to it.
func TestLostQueue(t *testing.T) {
	taken := core.Failure{Code: core.Taken, Text: "by another"}
	for name, tt := range map[string]struct {
		subscribe, queue, meanwhile string
		failure                     core.Failure
		want                        string
	}{
		"a queue": {
			"id:a\\cb\ndestination:/queue/q/1", "q/1", "", taken,
			`< "ERROR\nsubscription:a\\cb\nmessage:you no longer consume /queue/q/1\\c by another\n\n\x00"; end taken`,
		},
		"without a text": {
			"id:0\ndestination:/queue/q", "q", "",
			core.Failure{Code: core.Unreachable},
			`< "ERROR\nsubscription:0\nmessage:you no longer consume /queue/q\\c unreachable\n\n\x00"; end unavailable`,
		},
		"another queue": {"id:0\ndestination:/queue/q", "p", "", taken, ""},
		"a topic":       {"id:0\ndestination:/topic/q", "q", "", taken, ""},
		"unsubscribed":  {"id:0\ndestination:/queue/q", "q", "UNSUBSCRIBE\nid:0\n\n\x00", taken, ""},
		"subscribed again": {
			"id:0\ndestination:/queue/q", "q",
			"UNSUBSCRIBE\nid:0\n\n\x00SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\x00", taken, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, as := subscribed(t, newFormat(options{}, 4096), "1.2", tt.subscribe)
			if tt.meanwhile != "" {
				b.hear(core.TextFrame, tt.meanwhile)
			}
			got := b.read(core.Event{Kind: core.OfferLost, Topic: []byte(tt.queue), As: as, Failure: tt.failure})
			if got != tt.want {
				t.Errorf(" got %s\nwant %s", got, tt.want)
			}
			after := b.read(core.Event{Kind: core.Pong, Ref: []byte("R2")})
			if ended := after == ""; ended != (tt.want != "") {
				t.Errorf("then %q", after)
			}
		})
	}
}

// Subscribers with identical frames share them, and no others do.
func TestSharedFrames(t *testing.T) {
	f := newFormat(options{}, 4096)
	_, first := subscribed(t, f, "1.2", "id:sub-0\ndestination:/topic/a")
	for name, c := range map[string]struct {
		version, headers string
		shared           bool
	}{
		"the same":            {"1.2", "id:sub-0\ndestination:/topic/a", true},
		"of another topic":    {"1.2", "id:sub-0\ndestination:/topic/b\nack:auto", true},
		"under another id":    {"1.2", "id:sub-1\ndestination:/topic/a", false},
		"of another version":  {"1.1", "id:sub-0\ndestination:/topic/a", false},
		"that acknowledges":   {"1.2", "id:sub-0\ndestination:/topic/a\nack:client", false},
		"that looks the same": {"1.2", "id:sub\\c0\ndestination:/topic/a", false},
	} {
		if _, as := subscribed(t, f, c.version, c.headers); (as == first) != c.shared {
			t.Errorf("a subscription %s has As %d, the first one %d", name, as, first)
		}
	}
}

// Numbers stay while they are in use, even while an UNSUBSCRIBE is in flight, and go after that.
func TestLabelsGo(t *testing.T) {
	f := newFormat(options{}, 4096)
	b, kept := subscribed(t, f, "1.2", "id:kept\ndestination:/topic/a")
	c := b.codec.(*codec)
	c.leaving = map[uint32]*label{kept: c.subscriptions["kept"].label}
	delete(c.subscriptions, "kept")
	for i := range 100 {
		subscribed(t, f, "1.2", strings.Repeat("x", i+1)+":\nid:"+strings.Repeat("x", i+1)+"\ndestination:/topic/a")
	}
	within(t, "all but one have gone", func() bool {
		f.labels.mu.Lock()
		defer f.labels.mu.Unlock()
		return len(f.labels.byAs) == 1 && len(f.labels.byLook) == 1
	})
	if l := f.labels.at(kept); l == nil || l.id != "kept" {
		t.Fatalf("the one that is on its way is %v", l)
	}
	b.tell(core.Event{Kind: core.Done, Verb: core.Unsubscribe, As: kept})
	within(t, "that one has gone too", func() bool { return f.labels.at(kept) == nil })
	if _, as := subscribed(t, f, "1.2", "id:kept\ndestination:/topic/a"); as == kept {
		t.Errorf("As %d is given again", as)
	}
	runtime.KeepAlive(b)
}

// When all numbers have been used, those that are free are reused.
func TestLabelsStartAgain(t *testing.T) {
	f := newFormat(options{}, 4096)
	first, one := subscribed(t, f, "1.2", "id:first\ndestination:/topic/a")
	f.labels.last = math.MaxUint32
	second, two := subscribed(t, f, "1.2", "id:second\ndestination:/topic/a")
	if one != 1 || two != 2 {
		t.Errorf("As %d and %d, want 1 and 2", one, two)
	}
	runtime.KeepAlive(first)
	runtime.KeepAlive(second)
}

// within collects garbage until cond is true.
func within(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := coretest.Deadline(); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		runtime.GC()
	}
}
