package client_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// dialByTopic is dial for a client that calls and answers by topics where its format has no words for it.
func (s *server) dialByTopic(t *testing.T, name string) *speaker {
	t.Helper()
	codec := codecOf(t, name)
	heard := make(chan core.Event, 1000)
	c, err := client.Dial(deadline(t), client.Options{
		URL: s.url(name), Codec: func() core.ClientCodec { return client.ByTopic(codec()) }, FirstPause: time.Millisecond,
		Heard: func(ev core.Event) {
			if ev.Kind != core.Welcome {
				heard <- ev.Clone()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(deadline(t)) })
	return &speaker{c, heard}
}

// A client of every format asks one of every format, which answers or fails.
func TestByTopic(t *testing.T) {
	s := serve(t, map[string]int{})
	for answerer := range formats {
		service := "bots/" + answerer
		a := s.dialByTopic(t, answerer)
		if answerer == "wubsub" {
			service = answerer + "/bot"
			a.own(t, answerer, "bot")
		} else {
			a.do(t, core.Command{Verb: core.Offer, Services: [][]byte{[]byte(service)}})
			a.settle(t, s)
		}
		go func() {
			for {
				select {
				case ev := <-a.heard:
					reply := core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic, As: ev.As, Payload: ev.Payload}
					if string(core.AppendText(nil, ev.Payload)) == "fail" {
						reply.Payload, reply.Failure = core.Payload{}, core.Failure{Code: "mine", Text: "no"}
					}
					if _, err := a.Do(deadline(t), reply); err != nil {
						return
					}
				case <-t.Context().Done():
					return
				}
			}
		}()
		for caller := range formats {
			t.Run(fmt.Sprintf("%s asks %s", caller, answerer), func(t *testing.T) {
				c := s.dialByTopic(t, caller)
				ev := c.do(t, core.Command{Verb: core.Call, Topic: []byte(service), Payload: text("hello")})
				if ev.Kind != core.Answer || string(core.AppendText(nil, ev.Payload)) != "hello" {
					t.Errorf("answered %+v", ev)
				}
				ev, err := c.Do(deadline(t), core.Command{Verb: core.Call, Topic: []byte(service), Payload: text("fail")})
				if f, failed := errors.AsType[core.Failure](err); !failed || f.Text != "no" {
					t.Errorf("a call that fails: %+v, %v", ev, err)
				}
			})
		}
	}
}

// What a client offers by topic is its own again after a new connection, and its loss is told.
func TestOffersAreRestored(t *testing.T) {
	s := serve(t, map[string]int{})
	a := s.dialByTopic(t, "vws")
	a.do(t, core.Command{Verb: core.Offer, Services: [][]byte{[]byte("bots/a"), []byte("bots/b")}})
	s.stop()
	s = serve(t, s.ports)
	c := s.dialByTopic(t, "stocking")
	coretest.Eventually(t, "the call is heard", func() bool {
		if err := c.Post(core.Command{Verb: core.Call, Topic: []byte("bots/b"), OneWay: true}, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case ev := <-a.heard:
			return ev.Kind == core.Request && string(ev.Topic) == "bots/b" && ev.OneWay
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
}
