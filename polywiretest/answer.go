package polywiretest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/polywire/polywire/core"
)

// Answer makes the client answer a service: f is given the payload of each request, as Expect has it, and returns
// that of the answer, as for Publish, or an error, which may be a [core.Failure]. It is called on a goroutine of its
// own and may be called several times at once. In a format whose answerers own a channel, such as wubsub, the client
// owns the first level of the service, if nobody does.
func (c *Client) Answer(service string, f func(payload string) (answer string, err error)) {
	c.broker.t.Helper()
	c.mu.Lock()
	c.answers[service] = f
	c.mu.Unlock()
	channel, method, _ := strings.Cut(service, "/")
	_, err := c.Do(owning(channel, method))
	if _, unsayable := errors.AsType[*core.Unsayable](err); unsayable {
		_, err = c.Do(core.Command{Verb: core.Offer, Services: [][]byte{[]byte(service)}})
	}
	if err != nil {
		c.broker.t.Fatalf("offering %q, a client of %s: %v", service, c.endpoint, err)
	}
}

// owning returns the command that owns a channel.
func owning(channel string, services ...string) core.Command {
	cmd := core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel)}
	for _, s := range services {
		cmd.Services = append(cmd.Services, []byte(s))
	}
	return cmd
}

// calling returns the command that calls a service.
func calling(service, payload string) core.Command {
	return core.Command{Verb: core.Call, Topic: []byte(service), Payload: core.Sniff([]byte(payload))}
}

// answer answers a request, which it owns.
func (c *Client) answer(request core.Event) {
	c.mu.Lock()
	f := c.answers[string(request.Topic)]
	c.mu.Unlock()
	go func() {
		<-c.connected
		reply := core.Command{Verb: core.Reply, Call: request.Call, Topic: request.Topic, As: request.As}
		if f == nil {
			reply.Failure = core.Failure{Code: core.NoService, Text: fmt.Sprintf("the test has no answer for %q", request.Topic)}
		} else if text, err := f(string(request.Payload.Data)); err != nil {
			reply.Failure = failure(err)
		} else {
			reply.Payload = core.Sniff([]byte(text))
		}
		if request.OneWay {
			return
		}
		var unsayable *core.Unsayable
		_ = c.conn.Post(reply, func(_ core.Event, err error) {
			if !errors.As(err, &unsayable) || !reply.Failure.Failed() {
				return // the caller hears what became of it
			}
			// wubsub has no failed answers: the failure is the answer.
			reply.Payload = core.Payload{Kind: core.JSON, Data: core.AppendFailure(nil, reply.Failure)}
			reply.Failure = core.Failure{}
			_ = c.conn.Post(reply, nil)
		})
	}()
}

// failure returns how a call fails with an error.
func failure(err error) core.Failure {
	if f, ok := errors.AsType[core.Failure](err); ok {
		return f
	}
	return core.Failure{Code: core.AnswererError, Text: err.Error()}
}
