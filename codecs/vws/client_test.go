package vws

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What a client says, a server hears as it was said, and the other way round.
func TestBothSides(t *testing.T) {
	data := func(p core.Payload) string { return string(core.AppendJSON(nil, p)) }
	format, err := Protocol().New(&Options{AllowSend: true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	coretest.BothSides{
		Format: format.(core.ClientFormat),
		Command: func(c core.Command) string {
			switch c.Verb {
			case core.Publish:
				return fmt.Sprintf("publish %q %s %s", c.Topic, data(c.Payload), c.Headers)
			case core.Subscribe, core.Unsubscribe:
				return fmt.Sprintf("%v %q", c.Verb, c.Topic)
			}
			return c.Verb.String()
		},
		Event: func(ev core.Event) string {
			if ev.Kind != core.Message {
				return fmt.Sprintf("%v %v", ev.Kind, ev.Failure)
			}
			if ev.Payload.Kind == core.Absent {
				ev.Payload = core.Payload{Kind: core.JSON, Data: []byte("null")} // an event always has data
			}
			return fmt.Sprintf("message %q %s %s", ev.Topic, data(ev.Payload), ev.Headers)
		},
		Verbs:  []core.Verb{core.Subscribe, core.Unsubscribe, core.UnsubscribeAll, core.Publish, core.Ping},
		Events: []core.EventKind{core.Message},
	}.Run(t)
}

// Answers come back to the request whose id they have.
func TestAnswers(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{`{"k":"a","i":1}`, "done subscribe 1"},
		{`{"k":"n","i":2,"e":"event not allowed"}`, "failed publish 2 denied: "},
		{`{"k":"n","i":2,"e":"something new"}`, "failed publish 2 error: something new"},
		{`{"k":"n","i":1,"e":"event not allowed"}`, "failed subscribe 1 error: event not allowed"},
		{`{"k":"a","i":3}`, ""}, // nobody asked
		{`{"k":"a"}`, ""},
		{`{"k":"a","i":"1"}`, ""},
		{`{"k":"z","i":1}`, ""},
		{`{"d":1}`, ""},
	} {
		client := newFormat(Options{}, 0).NewClientCodec()
		for i, verb := range []core.Verb{core.Subscribe, core.Publish} {
			cmd := core.Command{Verb: verb, Topic: []byte("t"), Ref: fmt.Append(nil, i+1), Payload: core.Payload{Kind: core.JSON, Data: []byte("1")}}
			if answered, err := client.Say(cmd, func(core.Frame) {}); !answered || err != nil {
				t.Fatal(answered, err)
			}
		}
		var got string
		err := client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(c.message)}, func(ev core.Event) {
			if got = fmt.Sprintf("%v %v %s", ev.Kind, ev.Verb, ev.Ref); ev.Failure.Failed() {
				got += fmt.Sprintf(" %s: %s", ev.Failure.Code, ev.Failure.Text)
			}
		})
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.message, got, err)
		}
	}
}

// For all bytes: no panic, and memory in proportion to the message.
func FuzzHear(f *testing.F) {
	for _, c := range coretest.Cases(f, "testdata/encode.txt", "options ") {
		f.Add([]byte(c.Out))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		coretest.Frugal(t, len(data), func() {
			client := newFormat(Options{}, 0).NewClientCodec()
			_, _ = client.Say(core.Command{Verb: core.Ping}, func(core.Frame) {})
			_ = client.Hear(core.Frame{Kind: core.TextFrame, Data: bytes.Clone(data)}, func(core.Event) {})
		})
	})
}
