package polywiretest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/polywiretest"
)

func all() config.Config {
	return config.Config{Endpoints: []config.Endpoint{
		{Name: "bots", Protocol: "wubsub"},
		{Name: "web", Protocol: "wsify"},
		{Name: "games", Protocol: "stocking"},
		{Name: "telemetry", Protocol: "vws", Options: map[string]any{"allow_send": true}},
		{Name: "mobile", Protocol: "webwire"},
	}}
}

// TestFormats: clients of all formats hear and ask each other, and nothing has to be waited for but what they hear.
func TestFormats(t *testing.T) {
	b := polywiretest.Start(t, all())
	for _, endpoint := range []string{"bots", "web", "games", "telemetry", "mobile"} {
		c := b.Connect(endpoint)
		c.Subscribe("news/" + endpoint)
		ctx := t.Context()
		one, has, err := b.Client(ctx, c.Connection())
		if err != nil || one.Endpoint != endpoint || !slices.Contains(has.Topics, "news/"+endpoint) {
			t.Errorf("%s: %+v %+v %v", endpoint, one, has, err)
		}
		if err := b.Publish(endpoint, "news/"+endpoint, core.Payload{Kind: core.JSON, Data: []byte(`{"n":1}`)}); err != nil {
			t.Fatal(err)
		}
		c.Expect("news/"+endpoint, `{"n":1}`)

		c.Answer(endpoint+"/ask", func(payload string) (string, error) {
			if strings.Contains(payload, "fail") {
				return "", core.Failure{Code: "busy", Text: "not now"}
			}
			return `{"asked":` + payload + `}`, nil
		})
		if got := b.Connect("telemetry").Call(endpoint+"/ask", "1"); got != `{"asked":1}` {
			t.Errorf("%s answers %s", endpoint, got)
		}
		if endpoint != "bots" { // it has no failed answers
			if got := b.Connect("mobile").CallFails(endpoint+"/ask", `"fail"`); got.Code != "busy" && !strings.Contains(got.Text, "not now") {
				t.Errorf("%s fails with %+v", endpoint, got)
			}
		}
	}
	if got := b.Connect("telemetry").CallFails("nobody", "1"); got.Code != core.NoService {
		t.Errorf("nobody answers: %+v", got)
	}
}

// TestEnds: a client that is ended says how, and does not come back.
func TestEnds(t *testing.T) {
	b := polywiretest.Start(t, all())
	c := b.Connect("telemetry")
	if err := b.CloseClient(t.Context(), c.Connection(), core.ReasonDenied); err != nil {
		t.Fatal(err)
	}
	closed, ok := errors.AsType[*client.CloseError](c.ExpectClosed())
	if !ok || closed.Code != 1008 {
		t.Errorf("closed with %v", c.ExpectClosed())
	}
}

func TestOwner(t *testing.T) {
	b := polywiretest.Start(t, all())
	owner, web := b.Connect("bots"), b.Connect("web")
	web.Subscribe("news/today")
	owner.Own("news", "today")
	owner.Publish("news/today", "hello")
	web.Expect("news/today", `"hello"`)
}
