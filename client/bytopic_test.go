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

// A client of every format asks one of every format, which answers or fails.
func TestByTopic(t *testing.T) {
	s := serve(t, map[string]int{})
	for answerer := range formats {
		service := "bots/" + answerer
		a := s.dial(t, answerer, client.ByTopic)
		if answerer == "wubsub" {
			service = answerer + "/bot"
			a.own(t, s, answerer, "bot")
		} else {
			a.do(t, core.Command{Verb: core.Offer, Services: [][]byte{[]byte(service)}})
			a.settle(t, s, "any")
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
				c := s.dial(t, caller, client.ByTopic)
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
	a := s.dial(t, "vws", client.ByTopic)
	a.do(t, core.Command{Verb: core.Offer, Services: [][]byte{[]byte("bots/a"), []byte("bots/b")}})
	s.stop()
	s = serve(t, s.ports)
	c := s.dial(t, "stocking", client.ByTopic)
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
