package polywiretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// maxHeard is how many events a client reads ahead of Expect and Next.
const maxHeard = 4096

// never is longer than a test: a client does not connect again.
const never = 365 * 24 * time.Hour

// Client is a client of an endpoint, in its format. It leaves when the test ends. Once its connection has ended it
// makes no other. A format without words for calls, or for answering them, has them by the broker's topics
// ($call, $serve).
type Client struct {
	// Static after construction.
	broker    *Broker
	endpoint  string
	conn      *client.Client
	connected chan struct{}   // closed when conn is set
	heard     chan core.Event // what nobody waits for
	closing   chan struct{}   // closed by Close
	ended     chan struct{}   // closed when the connection has ended, after err is set
	err       error

	ending, closed sync.Once

	// Owned by the goroutine of the test.
	last []string // what Expect and Next have returned last

	// Guarded by mu.
	mu      sync.Mutex
	answers map[string]func(payload string) (string, error)
}

// Connect connects a client to an endpoint. change may set what the client needs beside the address and the format,
// such as a header with a token, or the TLS for an endpoint with wss.
func (b *Broker) Connect(endpoint string, change ...func(*client.Options)) *Client {
	b.t.Helper()
	c, err := b.connect(endpoint, change)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// Refused connects a client as Connect does, expects that the broker does not let it in, and returns why.
func (b *Broker) Refused(endpoint string, change ...func(*client.Options)) error {
	b.t.Helper()
	c, err := b.connect(endpoint, change)
	if err == nil {
		c.Close()
		b.t.Fatalf("a client was let in at %s", endpoint)
	}
	return err
}

func (b *Broker) connect(endpoint string, change []func(*client.Options)) (*Client, error) {
	b.t.Helper()
	c := &Client{
		broker: b, endpoint: endpoint, heard: make(chan core.Event, maxHeard), connected: make(chan struct{}),
		closing: make(chan struct{}), ended: make(chan struct{}), answers: make(map[string]func(string) (string, error)),
	}
	format := b.format(endpoint)
	o := client.Options{
		URL: b.URL(endpoint), Codec: func() core.ClientCodec { return client.ByTopic(format.NewClientCodec()) },
		Heard: c.hear, Timeout: b.Patience, FirstPause: never, MaxPause: never,
		Changed: func(err error) {
			if err != nil {
				c.end(err)
			}
		},
	}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := b.patient()
	defer cancel()
	var err error
	if c.conn, err = client.Dial(ctx, o); err != nil {
		return nil, err
	}
	close(c.connected)
	return c, nil
}

// format returns the format of an endpoint.
func (b *Broker) format(endpoint string) core.ClientFormat {
	b.t.Helper()
	cfg := b.Config()
	i := slices.IndexFunc(cfg.Endpoints, func(ep config.Endpoint) bool { return ep.Name == endpoint })
	if i < 0 {
		b.t.Fatalf("the broker has no endpoint %q", endpoint)
	}
	format, ok := cfg.Endpoints[i].Format.(core.ClientFormat)
	if !ok {
		b.t.Fatalf("the format of the endpoint %q, %s, has no client; dial Broker.URL with one of yours", endpoint, cfg.Endpoints[i].Protocol)
	}
	return format
}

// end records why the connection has ended.
func (c *Client) end(err error) {
	c.ending.Do(func() {
		c.err = err
		close(c.ended)
	})
}

// Close says goodbye and ends the connection. Further calls do nothing.
func (c *Client) Close() {
	c.closed.Do(func() {
		close(c.closing)
		ctx, cancel := c.broker.patient()
		defer cancel()
		c.conn.Close(ctx)
		c.end(client.ErrClosed)
	})
}

// Connection returns the number of the client's connection at the broker, as in Broker.Client.
func (c *Client) Connection() uint64 {
	c.broker.t.Helper()
	ctx, cancel := c.broker.patient()
	defer cancel()
	at := c.conn.LocalAddr()
	for one, err := range c.broker.Clients(ctx, polywire.ClientFilter{Endpoint: c.endpoint}) {
		switch {
		case err != nil:
			c.broker.t.Fatal(err)
		case at != nil && one.Remote == at.String():
			return one.ID
		}
	}
	c.broker.t.Fatalf("the broker has no connection of this client: %v from %v", c.endpoint, at)
	panic("unreachable")
}

// Do says a command, in the words of the format, and returns its outcome as [client.Client.Do] does. When it returns
// the broker has carried the command out, whether or not the format acknowledges it.
func (c *Client) Do(cmd core.Command) (core.Event, error) {
	ctx, cancel := c.broker.patient()
	defer cancel()
	ev, err := c.conn.Do(ctx, cmd)
	if err != nil || cmd.Verb == core.Leave {
		return ev, err
	}
	return ev, c.conn.Flush(ctx)
}

// must is Do, where an error fails the test.
func (c *Client) must(cmd core.Command, format string, args ...any) core.Event {
	c.broker.t.Helper()
	ev, err := c.Do(cmd)
	if err != nil {
		c.broker.t.Fatalf("%s, a client of %s: %v", fmt.Sprintf(format, args...), c.endpoint, err)
	}
	return ev
}

// Subscribe subscribes to topics, or to patterns if they have wildcards.
func (c *Client) Subscribe(topics ...string) {
	c.broker.t.Helper()
	for _, topic := range topics {
		c.must(core.Command{Verb: core.Subscribe, Topic: []byte(topic), Pattern: core.HasWildcard(topic)}, "subscribing to %q", topic)
	}
}

// Own makes the client the owner of a channel, as in wubsub, and the answerer of services in it.
func (c *Client) Own(channel string, services ...string) {
	c.broker.t.Helper()
	c.must(owning(channel, services...), "owning %q", channel)
}

// Publish publishes a payload: JSON if it is that, else text. A refusal fails the test if the format reports
// it.
func (c *Client) Publish(topic, payload string) {
	c.broker.t.Helper()
	c.must(core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: core.Sniff([]byte(payload))}, "publishing on %q", topic)
}

// Call calls a service with a payload, which is as in Publish, and returns the answer's, as Expect has it. A call
// that fails fails the test.
func (c *Client) Call(service, payload string) (answer string) {
	c.broker.t.Helper()
	return string(c.must(calling(service, payload), "calling %q", service).Payload.Data)
}

// CallFails calls a service as Call does, expects that it fails, and returns how.
func (c *Client) CallFails(service, payload string) core.Failure {
	c.broker.t.Helper()
	ev, err := c.Do(calling(service, payload))
	failure, failed := errors.AsType[core.Failure](err)
	switch {
	case failed:
		return failure
	case err == nil:
		c.broker.t.Fatalf("calling %q, a client of %s: it is answered: %s", service, c.endpoint, ev.Payload.Data)
	}
	c.broker.t.Fatalf("calling %q, a client of %s: %v", service, c.endpoint, err)
	panic("unreachable")
}

// Next waits for what the client hears next, and returns it: a [core.Message], or what else is no outcome of a command,
// such as a failure. The event is the caller's.
func (c *Client) Next() core.Event {
	c.broker.t.Helper()
	return c.next("anything")
}

// Expect waits for the next message, which has to be on a topic and have a payload, as the client's format has them:
// JSON as it is written, so that a text has quotes in a format that has only JSON. topic is not compared in a format
// whose messages do not name it.
func (c *Client) Expect(topic, payload string) {
	c.broker.t.Helper()
	want := shown(core.Event{Kind: core.Message, Topic: []byte(topic), Payload: core.Payload{Data: []byte(payload)}})
	ev := c.next(want)
	if ev.Kind != core.Message || len(ev.Topic) > 0 && string(ev.Topic) != topic || string(ev.Payload.Data) != payload {
		c.broker.t.Fatalf("a client of %s heard\n\t%s\nand not\n\t%s%s", c.endpoint, shown(ev), want, c.before(1))
	}
}

// ExpectClosed waits until the broker has ended the connection, and returns how: a [*client.CloseError] if it said
// goodbye.
func (c *Client) ExpectClosed() error {
	c.broker.t.Helper()
	ctx, cancel := c.broker.patient()
	defer cancel()
	for {
		select {
		case <-c.ended:
			return c.err
		case <-c.heard: // so that the goodbye is read
		case <-ctx.Done():
			c.broker.t.Fatalf("a client of %s is still connected", c.endpoint)
		}
	}
}

func (c *Client) next(want string) core.Event {
	c.broker.t.Helper()
	ctx, cancel := c.broker.patient()
	defer cancel()
	ev, err := c.receive(ctx)
	if err != nil {
		c.broker.t.Fatalf("a client of %s waits for\n\t%s\nbut %v%s", c.endpoint, want, err, c.before(0))
	}
	c.last = append(c.last, shown(ev))
	if len(c.last) > 10 {
		c.last = slices.Delete(c.last, 0, 1)
	}
	return ev
}

// receive returns what was heard next. The error is for people: "nothing came".
func (c *Client) receive(ctx context.Context) (core.Event, error) {
	select {
	case ev := <-c.heard:
		return ev, nil
	case <-c.ended:
		select {
		case ev := <-c.heard: // before the end
			return ev, nil
		default:
		}
		return core.Event{}, fmt.Errorf("its connection has ended: %w", c.err)
	case <-ctx.Done():
		return core.Event{}, fmt.Errorf("nothing came within %s", c.broker.Patience)
	}
}

// before returns what was heard before the last n events, for people.
func (c *Client) before(n int) string {
	rest := c.last[:max(0, len(c.last)-n)]
	if len(rest) == 0 {
		return ""
	}
	return "\nIt had heard\n\t" + strings.Join(rest, "\n\t")
}

// shown returns an event for people.
func shown(ev core.Event) string {
	if ev.Kind == core.Message {
		return fmt.Sprintf("%q %s", ev.Topic, ev.Payload.Data)
	}
	return fmt.Sprintf("%s %q %v", ev.Kind, ev.Topic, ev.Failure)
}

// hear takes what the broker says. It is called on the goroutine of the connection.
func (c *Client) hear(ev core.Event) {
	switch ev.Kind {
	case core.Request:
		c.answer(ev.Clone())
	case core.Message, core.Failed, core.OfferLost, core.SessionOpened, core.SessionClosed:
		select {
		case c.heard <- ev.Clone():
		case <-c.closing:
		}
	}
}
