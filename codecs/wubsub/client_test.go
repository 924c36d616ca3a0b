package wubsub

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// What a client says, a server hears as it was said, and the other way round.
func TestBothSides(t *testing.T) {
	data := func(p core.Payload) string { return string(appendData(nil, p)) }
	coretest.BothSides{
		Format: new(Format),
		Command: func(c core.Command) string {
			switch c.Verb {
			case core.Offer:
				return fmt.Sprintf("offer %q %q", c.Channel, c.Services)
			case core.Reply:
				return fmt.Sprintf("reply %q %x %s", c.Topic, c.Call, data(c.Payload))
			case core.Subscribe:
				return fmt.Sprintf("subscribe %q", c.Topic)
			}
			return fmt.Sprintf("%v %q %s", c.Verb, c.Topic, data(c.Payload))
		},
		Event: func(ev core.Event) string {
			call := ev.Call
			if ev.Kind == core.Message {
				call = core.CallID{}
			}
			failure := ev.Failure
			if ev.Kind == core.OfferLost {
				failure = core.Failure{} // the format says it for people
			}
			return fmt.Sprintf("%v %q %x %s %v", ev.Kind, ev.Topic, call, data(ev.Payload), failure)
		},
		Verbs:  []core.Verb{core.Subscribe, core.Publish, core.Offer, core.Call, core.Reply},
		Events: []core.EventKind{core.Message, core.Request, core.OfferLost},
	}.Run(t)
}

// A client declares what it owns as the original's README shows it.
func TestRegister(t *testing.T) {
	names := func(all ...string) (list [][]byte) {
		for _, one := range all {
			list = append(list, []byte(one))
		}
		return list
	}
	for want, c := range map[string]core.Command{
		`{"type":"register","channel":"c"}`:                                                                {},
		`{"type":"register","channel":"c","data":{"restpie":{"methods":["m","n"]}}}`:                       {Services: names("m", "n")},
		`{"type":"register","channel":"c","data":{"pubsub":{"topics":["t",""]}}}`:                          {Topics: names("t", "")},
		`{"type":"register","channel":"c","data":{"pubsub":{"topics":["t"]},"restpie":{"methods":["m"]}}}`: {Services: names("m"), Topics: names("t")},
	} {
		c.Verb, c.Exclusive, c.Channel = core.Offer, true, []byte("c")
		_, err := new(Format).NewClientCodec().Say(c, func(f core.Frame) {
			if string(f.Data) != want {
				t.Errorf("said %s, want %s", f.Data, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// For all bytes: no panic, and memory in proportion to the message.
func FuzzHear(f *testing.F) {
	for _, c := range coretest.Cases(f, "testdata/encode.txt", "") {
		f.Add([]byte(c.Out))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		coretest.Frugal(t, len(data), func() {
			client := new(Format).NewClientCodec()
			for range 2 {
				_, _ = client.Say(core.Command{Verb: core.Call, Topic: []byte("a/b")}, func(core.Frame) {})
			}
			_ = client.Hear(core.Frame{Kind: core.TextFrame, Data: bytes.Clone(data)}, func(core.Event) {})
		})
	})
}
