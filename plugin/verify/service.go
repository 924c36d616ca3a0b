package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/polywire/polywire/conversations/stage"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// service returns the checks of the plugin at work in a broker.
func (v *verifier) service() []check {
	return []check{
		{"serves beside a client that does not read", v.checkSlow, "clients of the plugin hear each message, and it keeps none behind its answer", false},
		{"comes back after kill -9", v.checkKill, "start fast, and set stateful if the codec keeps anything of a connection", false},
	}
}

// brokerYAML configures the broker in which the plugin works; %q is the plugin's format.
// Its clients act when it is their turn, however long that takes, so no idle limits apply.
const brokerYAML = `
endpoints:
  - {name: plugin, protocol: %q, listen: "127.0.0.1:0", outbound_limit: 256KiB, slow_consumer: drop_newest, ping_interval: 0s, pong_timeout: 0s, idle_timeout: 0s}
  - {name: publisher, protocol: wsify, listen: "127.0.0.1:0", path: /ws, max_message_size: 64KiB, ping_interval: 0s, pong_timeout: 0s, idle_timeout: 0s}
  - {name: other, protocol: vws, listen: "127.0.0.1:0", path: /ws, options: {allow_send: true}, ping_interval: 0s, pong_timeout: 0s, idle_timeout: 0s}
network: {send_buffer: 64KiB}
`

// site is a broker in which the plugin works, with real sockets.
type site struct {
	servers map[string]*url.URL
	format  format
	clients []*client
	// subscription is empty if no client could be found that hears anything.
	subscription
	stateful bool
	slack    time.Duration // as in Options
}

// work runs f beside a broker.
func (v *verifier) work(ctx context.Context, f func(*site) error) error {
	s := &site{stateful: v.facts.stateful, slack: v.Slack}
	all, err := v.subscriptions()
	if err != nil {
		return err
	}
	cfg, end, err := v.load(fmt.Sprintf(brokerYAML, v.facts.format))
	if err != nil {
		return err
	}
	defer end()
	s.format = cfg.Endpoints[0].Format.(format)
	return stage.Serve(ctx, cfg, v.Log, func(servers map[string]*url.URL, _ func() error) error {
		s.servers = servers
		defer s.close()
		if err := s.choose(ctx, all); err != nil {
			return err
		}
		return f(s)
	})
}

// subscription is what a client sends to subscribe to a topic.
type subscription struct {
	prologue []core.Frame
	topic    []byte
}

// maxSubscriptions is how many subscriptions are tried.
const maxSubscriptions = 16

// subscriptions returns what clients have said in the conversations up to a
// subscription.
func (v *verifier) subscriptions() (all []subscription, err error) {
	known := make(map[string]bool)
	for n, frames := range v.heard.sequences() {
		i, err := v.ask()
		if err != nil {
			return nil, err
		}
		conn := firstSubscriber + uint64(n)
		questions := []contract.Question{{Kind: contract.Open, Conn: conn}}
		for _, f := range frames {
			questions = append(questions, contract.Question{Kind: contract.Decode, Conn: conn, Frame: f})
		}
		replies, err := i.Ask(questions)
		if err != nil {
			v.close()
			return nil, err
		}
		for n, r := range replies {
			if r.Err != nil || len(all) == maxSubscriptions {
				break
			}
			for _, c := range r.Commands {
				if topic := topicOf(c); c.Verb == core.Subscribe && !core.Reserved(topic) && !known[string(topic)] {
					known[string(topic)] = true
					all = append(all, subscription{frames[:n], topic})
				}
			}
		}
	}
	return all, nil
}

// firstSubscriber is the number of the first connection that is asked about; those of
// the tryouts are smaller.
const firstSubscriber = 1 << 40

// topicOf returns a topic that c subscribes to.
func topicOf(c core.Command) []byte {
	if !c.Pattern {
		return c.Topic
	}
	levels := bytes.Split(c.Topic, []byte("/"))
	for n, level := range levels {
		if len(level) > 0 && (level[0] == '+' || level[0] == '#') {
			levels[n] = []byte("x")
		}
	}
	return bytes.Join(levels, []byte("/"))
}

// choose keeps the first subscription with which a client hears what is published, or none
// if there is no such. Its clients have left when it returns.
func (s *site) choose(ctx context.Context, all []subscription) error {
	publisher, err := s.dial(ctx, "publisher", false)
	if err != nil {
		return err
	}
	defer s.close()
	for wait := time.Second; wait <= time.Second+s.slack; wait *= 4 {
		// All at once: the failing ones together take no longer than one alone.
		hearers := make([]*client, len(all))
		for n := range all {
			s.subscription = all[n]
			c, err := s.join(ctx, false)
			if err == nil && s.publish(publisher, "x") == nil {
				hearers[n] = c
			}
		}
		end := time.Now().Add(wait)
		for n, c := range hearers {
			s.subscription = all[n]
			// Read what has arrived even if the others have used up the time.
			if c != nil && c.within(1, max(time.Until(end), wait/20)) == nil {
				return ctx.Err()
			}
		}
	}
	s.subscription = subscription{}
	return ctx.Err()
}

// join connects a client of the plugin and says the prologue.
func (s *site) join(ctx context.Context, small bool) (*client, error) {
	c, err := s.dial(ctx, "plugin", small)
	if err != nil {
		return nil, err
	}
	for _, f := range s.prologue {
		if err := c.send(f); err != nil {
			return nil, err
		}
	}
	if err := c.sync(); err != nil {
		return nil, fmt.Errorf("a client that says what one of the conversations said first: %w", err)
	}
	c.messages = 0
	return c, nil
}

func (s *site) dial(ctx context.Context, endpoint string, small bool) (*client, error) {
	c, err := dial(ctx, s.servers[endpoint], small, patience+s.slack)
	if err == nil {
		s.clients = append(s.clients, c)
	}
	return c, err
}

func (s *site) close() {
	for _, c := range s.clients {
		c.close()
	}
}

// publish says content on the topic, as a wsify client.
func (s *site) publish(c *client, content string) error {
	message, err := json.Marshal(map[string]any{
		"command": "broadcast", "args": map[string]string{"channel": string(s.topic), "content": content},
	})
	if err != nil {
		return fmt.Errorf("encoding the message: %w", err)
	}
	return c.send(core.Frame{Kind: core.TextFrame, Data: message})
}

// errNoSubscription is why the checks with messages for many cannot be made.
const errNoSubscription = unfounded("no conversation has a client that hears a topic of its own choice")

// neighbour is a client of another endpoint, which must never notice anything.
type neighbour struct{ *client }

func (s *site) neighbour(ctx context.Context) (*neighbour, error) {
	c, err := s.dial(ctx, "other", false)
	if err != nil {
		return nil, err
	}
	n := &neighbour{c}
	return n, errors.Join(n.send(core.Frame{Kind: core.TextFrame, Data: []byte(`{"k":"s","t":"beside","i":1}`)}), n.until(1))
}

// exchange publishes to itself and reads that.
func (n *neighbour) exchange() error {
	if err := n.send(core.Frame{Kind: core.TextFrame, Data: []byte(`{"t":"beside","d":1}`)}); err != nil {
		return err
	}
	return n.until(n.messages + 1)
}
