package polywire_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

const tappable = `
endpoints:
  - {name: vws, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0", options: {broadcasting_key: k}}
  - {name: rooms, protocol: stocking, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", redact: {keys: [pin]}}
`

// tap begins a tap, and returns a function that reads its next event.
func (r *running) tap(t *testing.T, query string) (next func() core.TapEvent) {
	t.Helper()
	response, err := http.Get(strings.TrimSuffix(r.AdminURL(), "/metrics") + "/v1/tap?" + query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", query, response.Status)
	}
	events := make(chan core.TapEvent, 1000)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				var ev core.TapEvent
				if err := ev.UnmarshalJSON([]byte(data)); err != nil {
					t.Error(err)
				}
				events <- ev
			}
		}
	}()
	return func() core.TapEvent {
		t.Helper()
		return coretest.Receive(t, "an event of the tap", events)
	}
}

// shownBy is an event of a tap on a topic as text.
func shownBy(ev core.TapEvent) string {
	direction := "in"
	if ev.FromServer {
		direction = "out"
	}
	m := ev.Message
	if m == nil {
		return fmt.Sprintf("%s %s %s", direction, ev.Kind, ev.Data)
	}
	text := fmt.Sprintf("#%d %s %s %s %s %s", m.Number, m.Topic, direction, ev.Kind, m.Endpoint, ev.Data)
	for _, more := range []any{m.From, m.Payload, string(m.Headers), m.User} {
		if more != "" && more != core.TapFrom("") {
			text += fmt.Sprint(" ", more)
		}
	}
	if m.Encodings > 0 || m.Receivers > 0 {
		text += fmt.Sprintf(" %d/%d", m.Encodings, m.Receivers)
	}
	if len(m.Changes) > 0 {
		text += " !" + strings.Join(m.Changes, ", ")
	}
	return text
}

// hearers waits until so many connections hear a topic.
func (r *running) hearers(t *testing.T, topic string, n int) {
	t.Helper()
	coretest.Eventually(t, "they hear the topic", func() bool {
		var page struct {
			Connections []polywire.Connection `json:"connections"`
		}
		return r.v1(t, http.MethodGet, "connections?topic="+url.QueryEscape(topic), &page) == http.StatusOK && len(page.Connections) == n
	})
}

// A tap on a topic shows each message in the words of its publisher, of the broker, and of each format that hears it.
func TestTapOfTopic(t *testing.T) {
	r := run(t, tappable)
	one, two := dial(t, r.urls["web"].URL), dial(t, r.urls["web"].URL)
	one.send(`{"command":"join","args":{"channel":"news/today"}}`)
	two.send(`{"command":"join","args":{"channel":"news/today"}}`)
	r.hearers(t, "news/today", 2)
	room := dial(t, r.urls["rooms"].URL)
	room.want("0")
	room.send("6,1,news/today")
	r.hearers(t, "news/today", 3)
	publisher := dial(t, r.urls["vws"].URL)

	next := r.tap(t, "topic=news/today")
	pattern := r.tap(t, "topic=news/%23&max_bytes=3&redact_topic=news/secret")
	publisher.send(`{"t":"news/other","d":1}`)
	publisher.send(`{"t":"news/today","d":{"n":1,"pin":"0000"}}`)
	for _, want := range []string{
		`#1 news/today in text vws {"t":"news/today","d":{"n":1,"pin":"[redacted]"}}`,
		`#1 news/today in message vws {"n":1,"pin":"[redacted]"} connection json 2/0`,
		`#1 news/today out text web {"n":1,"pin":"[redacted]"} 0/2 !receivers do not see the topic`,
		`#1 news/today out text rooms 5,news/today,{"n":1,"pin":"[redacted]"} 0/1 !json is read as text`,
	} {
		ev := next()
		if got := shownBy(ev); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if ev.Kind == core.TapPublished && ev.Size != len(`{"n":1,"pin":"0000"}`) {
			t.Errorf("its size is %d", ev.Size)
		}
		if ev.Kind == core.TapPublished && (ev.Connection == 0 || ev.Message.Remote == "") {
			t.Errorf("its publisher is %d at %q", ev.Connection, ev.Message.Remote)
		}
	}
	one.want(`{"n":1,"pin":"0000"}`)
	room.want(`5,news/today,{"n":1,"pin":"0000"}`)
	for _, want := range []string{
		`#1 news/other in text vws {"t`, `#1 news/other in message vws 1 connection json`,
		`#2 news/today in text vws {"t`, `#2 news/today in message vws {"n connection json 2/0`,
		`#2 news/today out text web {"n 0/2 !receivers do not see the topic`, `#2 news/today out text rooms 5,n 0/1 !json is read as text`,
	} {
		if got := shownBy(pattern()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}

	// What did not come from a connection says where it came from.
	if status := post(t, r.urls["web"].HTTP+"?key=k", `{"channel":"news/today","content":"by HTTP"}`); status != http.StatusCreated {
		t.Fatalf("broadcast: %d", status)
	}
	if err := r.Publish("web", "news/secret", core.Payload{Kind: core.Binary, Data: []byte("\xff")}); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish("web", "news/today", core.Payload{Kind: core.Binary, Data: []byte("\xff")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`#2 news/today in message web "by HTTP" request json 2/0`,
		"#2 news/today out text web \"by HTTP\" 0/2 !receivers do not see the topic",
		`#2 news/today out text rooms 5,news/today,by HTTP 0/1 !json is read as text`,
		"#3 news/today in message web \xff program binary 2/0",
	} {
		if got := shownBy(next()); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	for {
		ev := pattern()
		if ev.Message.Topic == "news/secret" {
			if len(ev.Data) > 0 || !ev.Redacted || ev.Size != 1 {
				t.Errorf("a topic that is not shown: %+v", ev)
			}
			break
		}
	}
}
