package stocking

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What a client says, a server hears as it was said, and the other way round.
func TestBothSides(t *testing.T) {
	parameter := func(p core.Payload) string {
		if p.Kind == core.Absent {
			return ""
		}
		return string(core.AppendJSON(nil, p))
	}
	coretest.BothSides{
		Format: new(Format),
		Command: func(c core.Command) string {
			switch c.Verb {
			case core.Call:
				// Without a payload, null is said.
				return fmt.Sprintf("call %q %v %s", c.Topic, c.OneWay, core.AppendJSON(nil, c.Payload))
			case core.Publish:
				return fmt.Sprintf("publish %q %s", c.Topic, core.AppendText(nil, c.Payload))
			case core.Ping, core.Leave:
				return c.Verb.String()
			}
			return fmt.Sprintf("%v %q", c.Verb, c.Topic)
		},
		Event: func(ev core.Event) string {
			switch ev.Kind {
			case core.Message:
				return fmt.Sprintf("message %q %s", ev.Topic, core.AppendText(nil, ev.Payload))
			case core.Answer:
				return fmt.Sprintf("answer %s", parameter(ev.Payload))
			}
			return fmt.Sprintf("%v %v", ev.Kind, ev.Failure)
		},
		Verbs:  []core.Verb{core.Subscribe, core.Unsubscribe, core.Publish, core.Call, core.Ping, core.Leave},
		Events: []core.EventKind{core.Message, core.Welcome},
	}.Run(t)
}

// What a server refuses, it says in a text.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{`1,0,Channel "a%2Cb" not found`, `done publish "a,b" unheard=true : `},
		{`1,0,denied`, `failed none "" unheard=false denied: `},
		{`1,0,Room is full, sorry`, `failed none "" unheard=false error: Room is full, sorry`},
		{`4,1,{"c":0,"p":"timeout"}`, `failed call "r" unheard=false timeout: `},
		{`4,1,{"c":0,"p":"no such thing"}`, `failed call "r" unheard=false error: no such thing`},
		{`4,1,{"c":17,"p":"timeout"}`, `failed call "r" unheard=false 17: timeout`},
		{`4,1,{"c":17}`, `failed call "r" unheard=false 17: `},
		{`4,1,{"c":-1}`, `answer call "r" unheard=false : `},
		{`4,1,`, `answer call "r" unheard=false : `},
		{`4,2,{"c":-1}`, ``}, // nobody asked
		{`4,x,{"c":-1}`, ``},
		{`9,1,x`, ``},
	} {
		client := new(Format).NewClientCodec()
		if _, err := client.Say(core.Command{Verb: core.Call, Topic: []byte("r")}, func(core.Frame) {}); err != nil {
			t.Fatal(err)
		}
		var got string
		err := client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(c.message)}, func(ev core.Event) {
			got += fmt.Sprintf("%v %v %q unheard=%v %s: %s", ev.Kind, ev.Verb, ev.Topic, ev.Unheard, ev.Failure.Code, ev.Failure.Text)
		})
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.message, got, err)
		}
	}
	for _, wrong := range []string{"", "x", "4", "4,1", `4,1,{`, `4,1,{"c":"x"}`, `4,1,17`} {
		client := new(Format).NewClientCodec()
		_, _ = client.Say(core.Command{Verb: core.Call, Topic: []byte("r")}, func(core.Frame) {})
		if err := client.Hear(core.Frame{Kind: core.TextFrame, Data: []byte(wrong)}, func(core.Event) {}); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// For all bytes: no panic, and memory in proportion to the message.
func FuzzHear(f *testing.F) {
	for _, message := range []string{"0", "3", "5,a,b", `4,1,{"c":-1,"p":1}`, `4,1,{"c":0,"p":"x"}`, `1,0,Channel "x" not found`} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		coretest.Frugal(t, len(data), func() {
			client := new(Format).NewClientCodec()
			_, _ = client.Say(core.Command{Verb: core.Call, Topic: []byte("a/b")}, func(core.Frame) {})
			_ = client.Hear(core.Frame{Kind: core.TextFrame, Data: bytes.Clone(data)}, func(core.Event) {})
		})
	})
}
