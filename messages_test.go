package polywire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	clients "github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// answers is a client that offers a service, and answers "echo" with what it is asked, "fails" with a failure, and all
// else never.
func answers(t *testing.T, r *running, protocol, endpoint string, offer core.Command) *clients.Client {
	t.Helper()
	var c *clients.Client
	dialled := make(chan struct{})
	c, err := clients.Dial(t.Context(), clients.Options{URL: r.urls[endpoint].URL, Codec: func() core.ClientCodec { return clients.ByTopic(clientOf(t, protocol).NewClientCodec()) }, Heard: func(ev core.Event) {
		<-dialled
		if ev.Kind != core.Request {
			return
		}
		reply := core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic, As: ev.As, Payload: ev.Payload}
		switch text := string(core.AppendText(nil, ev.Payload)); {
		case strings.Contains(text, "fails"):
			reply.Payload, reply.Failure = core.Payload{}, core.Failure{Code: "busy", Text: "not now"}
		case !strings.Contains(text, "echo"):
			return
		}
		_ = c.Post(reply, nil)
	}})
	if err != nil {
		t.Fatal(err)
	}
	close(dialled)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(ctx)
	})
	do(t, c, offer)
	return c
}

const callable = `
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: rooms, protocol: stocking, listen: "127.0.0.1:0", topic_prefix: in/}
admin: {listen: "127.0.0.1:0"}
`

// A program asks clients of any format, and hears their answers and their failures.
func TestCall(t *testing.T) {
	r := run(t, callable)
	r.Handle("handled", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		switch string(c.Payload.Data) {
		case "fails":
			return core.Payload{}, core.Failure{Code: "busy", Text: "not now"}
		case "panic":
			panic("asked for")
		case "exit":
			runtime.Goexit()
		}
		return c.Payload, nil
	})
	bot := answers(t, r, "wubsub", "bots", core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("bot"), Services: [][]byte{[]byte("ask")}})
	answers(t, r, "vws", "web", core.Command{Verb: core.Offer, Services: [][]byte{[]byte("web/ask")}})
	answers(t, r, "stocking", "rooms", core.Command{Verb: core.Offer, Services: [][]byte{[]byte("room")}})
	call := func(endpoint, service string, p core.Payload) string {
		t.Helper()
		answer, err := r.Call(t.Context(), endpoint, service, p)
		if err != nil {
			f, ok := errors.AsType[core.Failure](err)
			if !ok {
				return err.Error()
			}
			return "failed " + string(f.Code)
		}
		return fmt.Sprint(answer.Kind, " ", string(answer.Data))
	}
	text := func(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }
	for _, c := range []struct{ endpoint, service string }{{"web", "bot/ask"}, {"bots", "web/ask"}, {"web", "in/room"}, {"rooms", "room"}} {
		coretest.Eventually(t, c.service+" is offered", func() bool { return call(c.endpoint, c.service, text("echo")) != "failed no_service" })
		if got := call(c.endpoint, c.service, text("echo")); !strings.Contains(got, " echo") && !strings.Contains(got, ` "echo"`) {
			t.Errorf("%s at %s: %s", c.service, c.endpoint, got)
		}
		if got := call(c.endpoint, c.service, core.Payload{Kind: core.JSON, Data: []byte(`{"echo":1}`)}); !strings.HasSuffix(got, ` {"echo":1}`) {
			t.Errorf("%s at %s: %s", c.service, c.endpoint, got)
		}
		if got := call(c.endpoint, c.service, text("fails")); !strings.HasPrefix(got, "failed ") && !strings.Contains(got, "not now") {
			t.Errorf("%s at %s, which fails: %s", c.service, c.endpoint, got)
		}
	}
	for payload, want := range map[string]string{
		"hello": fmt.Sprint(core.Text, " hello"), "fails": "failed busy", "panic": "failed internal", "exit": "failed internal",
	} {
		if got := call("web", "handled", text(payload)); got != want {
			t.Errorf("a handler, %s: %s", payload, got)
		}
	}
	for want, got := range map[string]string{
		"failed no_service":                         call("web", "nobody", text("x")),
		`calling "x": there is no endpoint "other"`: call("other", "x", text("x")),
		`calling "": the topic is empty`:            call("web", "", text("x")),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := call("web", "x", core.Payload{Kind: core.JSON, Data: []byte("{")}); !strings.Contains(got, "JSON") {
		t.Error(got)
	}

	// Who waits no more is told so at once, and who has asked is not kept when the answerer leaves.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := r.Call(ctx, "web", "bot/ask", text("never"))
		ended <- err
	}()
	calls := func() float64 { return r.metric(t, "polywire_calls_outstanding") }
	coretest.Eventually(t, "the call is pending", func() bool { return calls() == 1 })
	cancel()
	if f, _ := errors.AsType[core.Failure](coretest.Receive(t, "the end of the call", ended)); f.Code != core.Timeout || calls() != 0 {
		t.Errorf("%v, and %v calls are pending", f, calls())
	}
	go func() {
		_, err := r.Call(t.Context(), "web", "bot/ask", text("never"))
		ended <- err
	}()
	coretest.Eventually(t, "the call is pending", func() bool { return calls() == 1 })
	bot.Close(t.Context())
	if f, _ := errors.AsType[core.Failure](coretest.Receive(t, "the end of the call", ended)); f.Code != core.Gone {
		t.Errorf("%v", f)
	}
	if got := r.metric(t, `polywire_calls_failed_total\{endpoint="web".*reason="timeout".*\}`); got != 1 {
		t.Errorf("%v calls are counted as timed out", got)
	}
}

// post sends a body to the admin API, and returns the answer in a line.
func (r *running) post(t *testing.T, path, kind, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(r.AdminURL(), "/metrics")+"/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	response, answer := asDescribed(t, request, []byte(body))
	var refused struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(answer, &refused) == nil && refused.Error.Code != "" {
		return fmt.Sprintf("%d %s: %s", response.StatusCode, refused.Error.Code, refused.Error.Message)
	}
	return fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("Content-Type"), answer)
}

// An operator publishes on several topics, and asks a client of an old format; what cannot be done says why.
func TestPublishAndCallByHTTP(t *testing.T) {
	r := run(t, callable)
	r.Handle("echo", func(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil })
	c, heard := speaks(t, "vws", r.urls["web"].URL)
	do(t, c, core.Command{Verb: core.Subscribe, Topic: []byte("#"), Pattern: true})
	if got := r.post(t, "publish?endpoint=rooms&topic=a&topic=b", "", `{"n":1}`); got != "200 application/json "+`{"topics":2}`+"\n" {
		t.Error(got)
	}
	for _, topic := range []string{"in/a", "in/b"} {
		ev := coretest.Receive(t, "a message", heard)
		if string(ev.Topic) != topic || ev.Payload.Kind != core.JSON || string(ev.Payload.Data) != `{"n":1}` {
			t.Errorf("%q %v", ev.Topic, ev.Payload)
		}
	}
	answers(t, r, "wubsub", "bots", core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("bot"), Services: [][]byte{[]byte("ask")}})
	ask := "call/bot/ask?endpoint=web"
	coretest.Eventually(t, "the service is offered", func() bool { return !strings.HasPrefix(r.post(t, ask, "", "echo"), "404 ") })
	for _, c := range []struct{ path, kind, body, want string }{
		{ask, "", `{"echo":1}`, `200 application/json {"echo":1}`},
		{ask, "application/x-www-form-urlencoded", `{"echo":1}`, `200 application/json {"echo":1}`},
		{ask, "", "echo", `200 application/json "echo"`}, // wubsub's answers are JSON
		{"call/echo?endpoint=web", "text/plain", `"echo"`, `200 text/plain; charset=utf-8 "echo"`},
		{"call/echo?endpoint=web", "", "\xff\x00", "200 application/octet-stream \xff\x00"},
		{"call/echo?endpoint=web", "application/octet-stream", "echo", "200 application/octet-stream echo"},
		{"call/echo?endpoint=web", "", "", "204  "},
		{ask, "application/json", "echo", "400 invalid: the body is not what its Content-Type says: "},
		{ask + "&timeout=1ms", "", "never", "504 timeout: "},
		{ask + "&timeout=1h", "", "never", "400 invalid: timeout must be a duration of up to 25s"},
		{"call/bot/nobody?endpoint=web", "", "", "404 no_service: "},
		{"call/bot/ask", "", "", "400 invalid: say for which endpoint: ?endpoint=NAME, one of web, bots, rooms"},
		{"call/bot/ask?endpoint=x", "", "", `404 not_found: there is no endpoint "x"`},
		{"publish?endpoint=web", "", "x", "400 invalid: give 1 to 100 topics: "},
		{"publish?endpoint=web&topic=$call/x", "", "x", "403 denied: "},
		{"publish?endpoint=web&topic=bot/x", "", "x", "403 not_owner: "},
		{"publish?endpoint=web&topic=a&topic=", "", "x", `400 invalid: publishing to "": the topic is empty; published on 1 topics before`},
		{"publish?endpoint=web&topic=a", "", strings.Repeat("x", 16<<20+1), "413 invalid: the body is longer than 16777216 bytes"},
	} {
		if got := r.post(t, c.path, c.kind, c.body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %.30q: %s\nwant %s", c.path, c.body, got, c.want)
		}
	}
}

// A program asks clients that are connected to other nodes.
func TestCallInCluster(t *testing.T) {
	joins := overRedis(t)
	a, b := run(t, callable+"cluster: "+joins("a")+"\n"), run(t, callable+"cluster: "+joins("b")+"\n")
	answers(t, b, "stocking", "rooms", core.Command{Verb: core.Offer, Services: [][]byte{[]byte("room")}})
	coretest.Eventually(t, "a client of b answers a", func() bool {
		answer, err := a.Call(t.Context(), "rooms", "room", core.Payload{Kind: core.JSON, Data: []byte(`"echo"`)})
		return err == nil && strings.Contains(string(answer.Data), "echo")
	})
	_, err := a.Call(t.Context(), "rooms", "room", core.Payload{Kind: core.JSON, Data: []byte(`"fails"`)})
	if f, _ := errors.AsType[core.Failure](err); !f.Failed() {
		t.Errorf("a failure: %v", err)
	}
}
