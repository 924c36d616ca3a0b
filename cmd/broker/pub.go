package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// leaveTimeout is how long a server has to answer a goodbye.
const leaveTimeout = 5 * time.Second

// newPub returns the command that publishes.
func newPub() *cobra.Command {
	var p pub
	cmd := &cobra.Command{
		Use:   "pub TARGET TOPIC [PAYLOAD|-|@FILE]",
		Short: "Publish as a client of a format",
		Long: `pub publishes a message, or several, and ends when the server has read them. It fails
if the server refuses one and its format has words for that: vws acknowledges, wubsub
and stocking report some refusals, wsify and webwire none.

In wubsub only the owner of a channel publishes: pub registers the channel, by default
the first level of the topic, and owns it until it ends.

` + payloadHelp + `

` + targetHelp,
		Example: `  broker pub wsify://127.0.0.1:3000/ws news/today '{"n":1}'
  broker pub wubsub://127.0.0.1:9190/ news/today hello
  seq 100 | broker pub vws://127.0.0.1:8080/ws numbers - --lines --rate 10`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return p.run(ctx, args[0], args[1], args[2:], cmd.InOrStdin())
		},
	}
	p.target.add(cmd, 10*time.Second, "how long the connection, and each message, may take; exit code 3 beyond it")
	flags := cmd.Flags()
	p.kind.add(flags)
	flags.StringVar(&p.own, "own", "", "the channel to own for wubsub; default: the first level of the topic")
	flags.IntVarP(&p.count, "count", "n", 1, "how often to publish the message")
	flags.Float64Var(&p.rate, "rate", 0, "messages a second; 0 is as fast as possible")
	flags.BoolVar(&p.lines, "lines", false, "each line of the payload is a message")
	return cmd
}

// pub are the values of the flags.
type pub struct {
	target target
	kind   kind
	own    string
	count  int
	rate   float64
	lines  bool
}

func (p *pub) run(ctx context.Context, name, topic string, args []string, stdin io.Reader) error {
	defer p.target.close()
	o, err := p.target.options(name)
	if err != nil {
		return err
	}
	var refusals refusals
	o.Heard = refusals.hear
	opening, cancel := p.target.within(ctx)
	c, err := client.Dial(opening, o)
	cancel()
	if err != nil {
		return p.target.explain(opening, err)
	}
	said := p.publish(ctx, c, topic, args, stdin)
	leave(c)
	if said == nil {
		said = refusals.first()
	}
	return said
}

// publish says the messages.
func (p *pub) publish(ctx context.Context, c *client.Client, topic string, args []string, stdin io.Reader) error {
	if err := p.register(ctx, c, topic); err != nil {
		return err
	}
	pace := time.Duration(0)
	if p.rate > 0 {
		pace = time.Duration(float64(time.Second) / p.rate)
	}
	next := time.Now()
	say := func(payload core.Payload) error {
		if pace > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(next)):
			}
			next = next.Add(pace)
		}
		ctx, cancel := p.target.within(ctx)
		defer cancel()
		if _, err := c.Do(ctx, core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: payload}); err != nil {
			return p.target.explain(ctx, fmt.Errorf("publishing on %s: %w", topic, err))
		}
		return nil
	}
	if p.lines && len(args) > 0 {
		return p.publishLines(args[0], stdin, say)
	}
	payload, err := p.kind.read(args, stdin)
	if err != nil {
		return err
	}
	for range p.count {
		if err := say(payload); err != nil {
			return err
		}
	}
	return nil
}

// publishLines says each line of what an argument gives.
func (p *pub) publishLines(arg string, stdin io.Reader, say func(core.Payload) error) error {
	if arg != "-" {
		all, err := (&kind{"binary"}).read([]string{arg}, stdin)
		if err != nil {
			return err
		}
		stdin = strings.NewReader(string(all.Data))
	}
	lines := bufio.NewScanner(stdin)
	lines.Buffer(nil, maxPayload)
	for lines.Scan() {
		payload, err := p.kind.of(lines.Bytes())
		if err == nil {
			err = say(payload)
		}
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the payload: %w", err)
	}
	return nil
}

// register owns the channel, where only an owner publishes.
func (p *pub) register(ctx context.Context, c *client.Client, topic string) error {
	channel := p.own
	if channel == "" {
		channel, _, _ = strings.Cut(topic, "/")
	}
	ctx, cancel := p.target.within(ctx)
	defer cancel()
	_, err := c.Do(ctx, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel)})
	if _, unsayable := errors.AsType[*core.Unsayable](err); unsayable && p.own == "" {
		return nil
	}
	if err != nil {
		return p.target.explain(ctx, fmt.Errorf("registering the channel %s: %w", channel, err))
	}
	return nil
}

// refusals keeps what a server refuses without saying what. Any goroutine.
type refusals struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (r *refusals) hear(ev core.Event) {
	if ev.Kind != core.Failed && ev.Kind != core.OfferLost {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = fmt.Errorf("the server refused: %w", ev.Failure)
	}
}

func (r *refusals) first() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
