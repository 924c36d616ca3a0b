package wsify

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What a client says, a server hears as it was said, and the other way round.
func TestBothSides(t *testing.T) {
	content := func(p core.Payload) string { return string(core.AppendJSON(nil, p)) }
	coretest.BothSides{
		Format: new(Format),
		Command: func(c core.Command) string {
			if c.Verb != core.Publish {
				return fmt.Sprintf("%v %q", c.Verb, c.Topic)
			}
			return fmt.Sprintf("publish %q %s", c.Topic, content(c.Payload))
		},
		Event: func(ev core.Event) string {
			topic := ev.Topic
			if !core.Reserved(topic) {
				topic = nil // the format does not say it
			}
			return fmt.Sprintf("%v %q %s", ev.Kind, topic, content(ev.Payload))
		},
		Verbs:  []core.Verb{core.Subscribe, core.Unsubscribe, core.Publish},
		Events: []core.EventKind{core.Message},
	}.Run(t)
}

// Only what the broker writes around a message on one of its own topics is taken away.
func TestUnwrap(t *testing.T) {
	for _, c := range []struct{ message, topic, content string }{
		{`{"channel":"$reply/1","content":{"a":1}}`, "$reply/1", `{"a":1}`},
		{`{"channel":"news","content":1}`, "", ""},
		{`{"channel":"$other/1","content":1}`, "", ""},
		{`{"channel":"$reply/1","content":1,"more":2}`, "", ""},
		{`{"content":1,"channel":"$reply/1"}`, "", ""},
		{`{"channel":1,"content":1}`, "", ""},
		{`{"channel":"$reply/1"}`, "", ""},
		{`{}`, "", ""},
	} {
		if c.content == "" {
			c.content = c.message
		}
		if topic, content := unwrap([]byte(c.message)); string(topic) != c.topic || string(content) != c.content {
			t.Errorf("%s: topic %q, content %s", c.message, topic, content)
		}
	}
}

// For all bytes: no panic, and memory in proportion to the message.
func FuzzHear(f *testing.F) {
	f.Add([]byte(`{"channel":"$reply/1","content":{"a":1}}`))
	f.Add([]byte(`{"$binary":"/w=="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		coretest.Frugal(t, len(data), func() {
			_ = new(Format).NewClientCodec().Hear(core.Frame{Kind: core.TextFrame, Data: bytes.Clone(data)}, func(core.Event) {})
		})
	})
}
