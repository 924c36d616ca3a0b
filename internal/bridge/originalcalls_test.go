package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// asks connects a client of the broker that calls, and answers what it is asked: a text with an exclamation mark.
func (b *broker) asks(endpoint string, protocol core.Protocol) *client.Client {
	b.t.Helper()
	format, err := protocol.Default()
	if err != nil {
		b.t.Fatal(err)
	}
	asked := make(chan core.Event, 100)
	c, err := client.Dial(b.t.Context(), client.Options{URL: b.urls[endpoint], Codec: format.(core.ClientFormat).NewClientCodec, Timeout: coretest.Patience, Heard: func(ev core.Event) {
		if ev.Kind == core.Request {
			asked <- ev.Clone()
		}
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ev := range asked {
			text := string(core.AppendText(nil, ev.Payload)) + "!"
			_ = c.Post(core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic, As: ev.As, Payload: core.Payload{Kind: core.Text, Data: []byte(text)}}, nil)
		}
	}()
	b.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(ctx)
		close(asked)
		<-ended
	})
	return c
}

// outcome is how a call has ended: its answer as JSON, or its failure.
type outcome struct {
	answer string
	code   core.Code
	text   string
}

// asking calls a service, and returns the outcome later. The payload is JSON; empty is none.
func asking(t *testing.T, c *client.Client, service, payload string) <-chan outcome {
	t.Helper()
	cmd := core.Command{Verb: core.Call, Topic: []byte(service)}
	if payload != "" {
		cmd.Payload = core.Payload{Kind: core.JSON, Data: []byte(payload)}
	}
	done := make(chan outcome, 1)
	err := c.Post(cmd, func(ev core.Event, err error) {
		var o outcome
		if f, ok := errors.AsType[core.Failure](err); ok {
			o.code, o.text = f.Code, f.Text
		} else if err != nil {
			o.text = err.Error()
		} else {
			o.answer = string(core.AppendJSON(nil, ev.Payload))
		}
		done <- o
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// requireOutcome checks how a call ends. The text of a failure only has to contain what is wanted.
func requireOutcome(t *testing.T, what string, got <-chan outcome, want outcome) {
	t.Helper()
	if o := coretest.Receive(t, "the outcome of "+what, got); o.answer != want.answer || o.code != want.code || !strings.Contains(o.text, want.text) {
		t.Errorf("%s ended with %+v, want %+v", what, o, want)
	}
}

// killedWhileAsked kills an original that owes an answer: the call under way ends, and then all others, at once.
func killedWhileAsked(t *testing.T, s *standIn, b *broker, asker *client.Client, service string) {
	t.Helper()
	pending := asking(t, asker, service, `{"n":1}`)
	s.takesSoon(true, service[strings.LastIndexByte(service, '/')+1:], `{"n":1}`)
	s.kill()
	under := coretest.Receive(t, "the outcome of the call under way", pending)
	if gone := under.code == core.Gone || under.code == core.AnswererError; !gone || !strings.HasPrefix(under.text, "the old server cannot be asked: ") {
		t.Errorf("a call under way ended with %+v", under)
	}
	coretest.Eventually(t, "nobody answers for the old server", func() bool {
		return coretest.Receive(t, "the outcome of a call", asking(t, asker, service, `{"n":2}`)).code == core.NoService
	})
}

// Clients of the broker call what a program with an original library answers, and the connection stays whatever
// the outcome is.
func TestOriginalAnswers(t *testing.T) {
	type call struct {
		service, payload string
		want             outcome
	}
	// A client of wubsub hears of a failure only the text.
	bots := func(b *broker) *client.Client { return b.asks("bots", wubsub.Protocol()) }
	apps := func(b *broker) *client.Client { return b.asks("apps", webwire.Protocol()) }
	for _, c := range []struct {
		dialect
		asker    func(*broker) *client.Client
		services string
		calls    []call
	}{
		{dialects[2], bots, "app/echo, app/fail, app/void, app/other, app/never", []call{
			{"app/echo", `{"a":[1,"ä"]}`, outcome{answer: `{"a":[1,"ä"]}`}},
			{"app/echo", ``, outcome{answer: `null`}},
			{"app/void", `{}`, outcome{answer: `null`}},
			{"app/other", `{"x":1}`, outcome{answer: `{}`}},
			{"app/fail", `{}`, outcome{code: core.AnswererError, text: "it does not work"}},
		}},
		{dialects[4], apps, "app/echo, app/fail, app/break, app/other, app/never", []call{
			{"app/echo", `"a text"`, outcome{answer: `"a text"`}},
			{"app/echo", ``, outcome{answer: `""`}},
			{"app/fail", `1`, outcome{code: "NOT_TODAY", text: "it does not work"}},
			{"app/break", `1`, outcome{code: core.Internal}},
			{"app/other", `1`, outcome{code: "UNKNOWN", text: "there is no app/other"}},
		}},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			t.Parallel()
			s := stands(t, c.begins)
			b := joinsOriginal(t, s, c.dialect, "calls: {to: ["+c.services+"], timeout: 1h}")
			asker := c.asker(b)
			for round := range 2 {
				if round > 0 {
					s.start()
				}
				b.meets(s, c.dialect)
				for _, one := range c.calls {
					requireOutcome(t, fmt.Sprintf("%s of %s", one.service, one.payload), asking(t, asker, one.service, one.payload), one.want)
				}
				if _, connections := s.pongs(); connections != 1 || !b.ready() {
					t.Fatalf("the old server has %d connections, and /readyz says %s", connections, b.page("/readyz"))
				}
				killedWhileAsked(t, s, b, asker, "app/never")
			}
		})
	}
}

// Calls go both ways at an original wubsub.
func TestOriginalWubsubCalls(t *testing.T) {
	d := dialects[0]
	s := stands(t, d.begins)
	b := joinsOriginal(t, s, d, "calls: {to: [down/add, down/never, down/other], from: [up/echo, up/absent], timeout: 1h}")
	asker := b.asks("bots", wubsub.Protocol())
	if _, err := asker.Do(t.Context(), core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("up"), Services: [][]byte{[]byte("echo")}}); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		if round > 0 {
			s.start()
		}
		l := s.dials(d)
		l.settles(s, d)
		b.meets(s, d)
		// What the original does not take fails by itself, and the next call gets its own answer.
		requireOutcome(t, "a call that is too big", asking(t, asker, "down/add", `"`+strings.Repeat("x", 600)+`"`), outcome{code: core.AnswererError, text: "the server takes up to 512"})
		// From here, with an answer and without.
		added := asking(t, asker, "down/add", `[1,2]`)
		asked := l.find(`^\{"type":"pie-req","channel":"down","topic":"add","reqid":"([0-9a-f-]{36})","data":\[1,2\]\}$`)
		l.says(`{"type":"pie-resp","channel":"down","topic":"add","reqid":"` + asked[1] + `","data":3}`)
		requireOutcome(t, "down/add", added, outcome{answer: "3"})
		requireOutcome(t, "down/other", asking(t, asker, "down/other", "1"), outcome{code: core.NoService})
		// From there, with an answer and without.
		l.says(`{"type":"pie-do","channel":"up","topic":"echo","data":"hello"}`)
		id := l.find(`^\{"type":"pie-ack","channel":"up","topic":"echo","reqid":"([0-9a-f-]{36})","data":true\}$`)[1]
		l.hears(`{"type":"pie-recv","channel":"up","topic":"echo","reqid":"` + id + `","data":"hello!"}`)
		l.says(`{"type":"pie-do","channel":"up","topic":"absent"}`)
		id = l.find(`^\{"type":"pie-ack","channel":"up","topic":"absent","reqid":"([0-9a-f-]{36})","data":true\}$`)[1]
		l.find(`^\{"type":"pie-recv","channel":"up","topic":"absent","reqid":"` + id + `","data":\{"code":"no_service",`)
		if n := len(l.messages()); n != 5 {
			t.Errorf("the old server's client heard %q", l.messages())
		}
		// An answer that the original does not take becomes a failure.
		l.says(`{"type":"pie-do","channel":"up","topic":"echo","data":"` + strings.Repeat("x", 420) + `"}`)
		l.find(`^\{"type":"pie-recv","channel":"up","topic":"echo","reqid":"[0-9a-f-]{36}","data":\{"code":"invalid","text":"the answer is too big`)
		killedWhileAsked(t, s, b, asker, "down/never")
	}
	if why := s.crashed(); len(why) > 0 {
		t.Errorf("the original died: %v", why)
	}
}

// find waits for a message that a pattern matches, and returns its parts.
func (l *legacy) find(pattern string) (parts []string) {
	l.t.Helper()
	expression := regexp.MustCompile(pattern)
	coretest.Eventually(l.t, fmt.Sprintf("%s among %q", pattern, l.messages()), func() bool {
		for _, message := range l.messages() {
			if parts = expression.FindStringSubmatch(message); parts != nil {
				return true
			}
		}
		return false
	})
	return parts
}
