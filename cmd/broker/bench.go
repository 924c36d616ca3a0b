package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// newBench returns the command that measures a server.
func newBench() *cobra.Command {
	var b measuring
	cmd := &cobra.Command{
		Use:   "bench TARGET",
		Short: "Measure a server as clients of a format: messages to many, or calls",
		Long: `bench has one client publish to many subscribers of a topic of its own, and measures how
many messages arrive, and how long they take. With --calls one client answers, and many
ask, each one call at a time.

At most --in-flight messages are on their way to the first subscriber: the next one is
published when an earlier one has arrived there. With --rate messages are published at
that rate, whatever arrives. What did not arrive within a few seconds after the end is
lost. bench itself needs a processor: on the machine of the server it measures both.

` + targetHelp,
		Example: `  broker bench wsify://127.0.0.1:3000/ws --subscribers 10 --duration 1s
  broker bench wubsub://127.0.0.1:9190/ --calls --subscribers 4 --duration 1s --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return b.run(ctx, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	b.target.add(cmd, 10*time.Second, "how long a connection or a call may take")
	b.target.addByTopic(cmd.Flags())
	flags := cmd.Flags()
	flags.IntVarP(&b.subscribers, "subscribers", "s", 100, "how many subscribe, or with --calls ask")
	flags.DurationVarP(&b.duration, "duration", "d", 10*time.Second, "how long to measure")
	flags.IntVar(&b.size, "size", 128, "bytes of a payload, at least 32")
	flags.IntVar(&b.inFlight, "in-flight", 16, "how many messages may be on their way")
	flags.Float64Var(&b.rate, "rate", 0, "messages a second; 0 is as --in-flight lets them")
	flags.BoolVar(&b.calls, "calls", false, "measure calls")
	flags.BoolVar(&b.json, "json", false, "print the result as JSON")
	return cmd
}

// measuring are the values of the flags.
type measuring struct {
	target                      target
	subscribers, size, inFlight int
	duration                    time.Duration
	rate                        float64
	calls, json                 bool
}

// result is what was measured.
type result struct {
	What        string  `json:"what"`
	Target      string  `json:"target"`
	Clients     int     `json:"clients"`
	Size        int     `json:"size_bytes"`
	Seconds     float64 `json:"seconds"`
	Done        int64   `json:"done"`
	PerSecond   float64 `json:"per_second"`
	Delivered   int64   `json:"delivered"`
	Lost        int64   `json:"lost"`
	Failed      int64   `json:"failed"`
	MedianMS    float64 `json:"median_ms"`
	P99MS       float64 `json:"p99_ms"`
	MaxMS       float64 `json:"max_ms"`
	unit, times string
}

func (b *measuring) run(ctx context.Context, name string, out, log io.Writer) error {
	switch {
	case b.subscribers < 1 || b.subscribers > 100_000:
		return errors.New("--subscribers must be from 1 to 100000")
	case b.size < 32 || b.size > 1<<20:
		return errors.New("--size must be from 32 to 1048576")
	case b.inFlight < 1:
		return errors.New("--in-flight must be at least 1")
	case b.duration <= 0:
		return errors.New("--duration must be longer than nothing")
	}
	defer b.target.close()
	o, err := b.target.options(name)
	if err != nil {
		return err
	}
	measure := b.fanOut
	if b.calls {
		measure = b.ask
	}
	r, err := measure(ctx, o, log)
	if err != nil {
		return b.target.explain(ctx, err)
	}
	r.Target, r.Clients, r.Size = name, b.subscribers, b.size
	if b.json {
		return json.NewEncoder(out).Encode(r)
	}
	_, err = fmt.Fprintf(out, "%s, %d %s, %d bytes, %.1f s: %.0f %s/s, latency median %.2f ms, 99 %% %.2f ms, max %.2f ms; lost %d, failed %d\n",
		name, r.Clients, r.times, r.Size, r.Seconds, r.PerSecond, r.unit, r.MedianMS, r.P99MS, r.MaxMS, r.Lost, r.Failed)
	return err
}

// dial connects a client that hears with hear.
func (b *measuring) dial(ctx context.Context, o client.Options, hear func(core.Event)) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, max(b.target.timeout, time.Second))
	defer cancel()
	o.Heard = hear
	return client.Dial(ctx, o)
}

// do is client.Do in bounded time.
func (b *measuring) do(ctx context.Context, c *client.Client, cmd core.Command) error {
	ctx, cancel := b.target.within(ctx)
	defer cancel()
	_, err := c.Do(ctx, cmd)
	return b.target.explain(ctx, err)
}

// crowd connects n clients, some at a time, and says what begin says for each.
func (b *measuring) crowd(ctx context.Context, o client.Options, n int, hear func(i int) func(core.Event), begin func(*client.Client) error) ([]*client.Client, error) {
	clients := make([]*client.Client, n)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	room := make(chan struct{}, 64)
	for i := range n {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			c, err := b.dial(ctx, o, hear(i))
			if err == nil {
				clients[i] = c
				err = begin(c)
			}
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return clients, failed
}

func leaveAll(clients []*client.Client) {
	var wait sync.WaitGroup
	for _, c := range clients {
		if c != nil {
			wait.Go(func() { leave(c) })
		}
	}
	wait.Wait()
}

// latencies keeps a sample of times. Any goroutine.
type latencies struct {
	mu   sync.Mutex
	all  []time.Duration
	seen int64
	max  time.Duration
}

// maxSample bounds the times that are kept.
const maxSample = 200_000

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	l.max = max(l.max, d)
	if len(l.all) < maxSample {
		l.all = append(l.all, d)
	} else if i := rand.Int64N(l.seen); i < maxSample {
		l.all[i] = d
	}
}

func (l *latencies) into(r *result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return
	}
	slices.Sort(l.all)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r.MedianMS, r.P99MS, r.MaxMS = ms(l.all[len(l.all)/2]), ms(l.all[len(l.all)*99/100]), ms(l.max)
}

// stamp returns a payload of the wanted size that says when it was made.
func (b *measuring) stamp() core.Payload {
	text := "at " + strconv.FormatInt(time.Now().UnixNano(), 10) + " "
	return core.Payload{Kind: core.Text, Data: []byte(text + strings.Repeat("x", max(0, b.size-len(text))))}
}

// since returns how old a payload of stamp is.
func since(p core.Payload) (time.Duration, bool) {
	fields := strings.Fields(string(core.AppendText(nil, p)))
	if len(fields) < 2 || fields[0] != "at" {
		return 0, false
	}
	at, err := strconv.ParseInt(fields[1], 10, 64)
	return time.Since(time.Unix(0, at)), err == nil
}

// fanOut measures messages to many subscribers.
func (b *measuring) fanOut(ctx context.Context, o client.Options, log io.Writer) (r result, err error) {
	channel := fmt.Sprintf("bench-%08x", rand.Uint32())
	topic := []byte(channel + "/x")
	var delivered atomic.Int64
	var counting atomic.Bool
	var times latencies
	var present atomic.Int64 // subscribers that have heard something
	first := make(chan struct{}, 1<<16)
	hear := func(i int) func(core.Event) {
		here := false
		return func(ev core.Event) {
			if ev.Kind != core.Message {
				return
			}
			age, ok := since(ev.Payload)
			if !ok {
				return
			}
			if !here {
				here = true
				present.Add(1)
			}
			if i == 0 {
				select {
				case first <- struct{}{}:
				default:
				}
			}
			if counting.Load() {
				delivered.Add(1)
				times.add(age)
			}
		}
	}
	fmt.Fprintf(log, "connecting %d subscribers\n", b.subscribers)
	subscribers, err := b.crowd(ctx, o, b.subscribers, hear, func(c *client.Client) error {
		return b.do(ctx, c, core.Command{Verb: core.Subscribe, Topic: topic, Pattern: true})
	})
	defer func() { leaveAll(subscribers) }()
	if err != nil {
		return r, err
	}
	var refused refusals
	publisher, err := b.dial(ctx, o, refused.hear)
	if err != nil {
		return r, err
	}
	defer leave(publisher)
	err = b.do(ctx, publisher, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel)})
	if _, unsayable := errors.AsType[*core.Unsayable](err); err != nil && !unsayable {
		return r, fmt.Errorf("owning the channel %s: %w", channel, err)
	}
	publish := func() error {
		return publisher.Post(core.Command{Verb: core.Publish, Topic: topic, Payload: b.stamp()}, nil)
	}
	all := func() bool { return present.Load() == int64(b.subscribers) }
	if err := b.arrives(ctx, publish, all, first, &refused); err != nil {
		return r, err
	}
	counting.Store(true)
	began := time.Now()
	for next := began; time.Since(began) < b.duration && ctx.Err() == nil; r.Done++ {
		switch {
		case b.rate > 0:
			time.Sleep(time.Until(next))
			next = next.Add(time.Duration(float64(time.Second) / b.rate))
		case r.Done >= int64(b.inFlight):
			if err := awaitOne(ctx, first); err != nil {
				return r, fmt.Errorf("after %d messages: %w", r.Done, err)
			}
		}
		if err := publish(); err != nil {
			r.Failed++
		}
	}
	r.Seconds = time.Since(began).Seconds()
	want := (r.Done - r.Failed) * int64(b.subscribers)
	for waited := time.Now(); delivered.Load() < want && time.Since(waited) < leaveTimeout && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
	}
	r.What, r.unit, r.times = "fan-out", "deliveries", "subscribers"
	r.Delivered = delivered.Load()
	r.Lost, r.PerSecond = max(0, want-r.Delivered), float64(r.Delivered)/r.Seconds
	times.into(&r)
	return r, refused.first()
}

var errSilence = errors.New("nothing arrives: may this client publish and subscribe there?")

// arrives publishes until all subscribers have heard something, and nothing is on its way any more.
func (b *measuring) arrives(ctx context.Context, publish func() error, all func() bool, heard <-chan struct{}, refused *refusals) error {
	for began := time.Now(); time.Since(began) < max(b.target.timeout, time.Second); {
		if err := publish(); err != nil {
			return err
		}
		for quiet := false; !quiet; {
			select {
			case <-heard:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(200 * time.Millisecond):
				quiet = true
			}
		}
		if err := refused.first(); err != nil {
			return err
		}
		if all() {
			return nil
		}
	}
	return errSilence
}

func awaitOne(ctx context.Context, heard <-chan struct{}) error {
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(leaveTimeout):
		return errors.New("a message did not arrive")
	}
}

// ask measures calls.
func (b *measuring) ask(ctx context.Context, o client.Options, log io.Writer) (r result, err error) {
	channel := fmt.Sprintf("bench-%08x", rand.Uint32())
	service := channel + "/echo"
	var answerer *client.Client
	ready := make(chan struct{})
	answerer, err = b.dial(ctx, o, func(ev core.Event) {
		if ev.Kind == core.Request {
			<-ready
			_ = answerer.Post(core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic, As: ev.As, Payload: ev.Payload}, nil)
		}
	})
	if err != nil {
		return r, err
	}
	close(ready)
	defer leave(answerer)
	offering := answering{target: b.target}
	if err := offering.offer(ctx, answerer, service); err != nil {
		return r, fmt.Errorf("offering %s: %w", service, err)
	}
	fmt.Fprintf(log, "connecting %d callers\n", b.subscribers)
	call := core.Command{Verb: core.Call, Topic: []byte(service)}
	callers, err := b.crowd(ctx, o, b.subscribers, func(int) func(core.Event) { return func(core.Event) {} }, func(*client.Client) error { return nil })
	defer func() { leaveAll(callers) }()
	if err != nil {
		return r, err
	}
	// Formats that do not say when an offer has succeeded need a moment.
	for began := time.Now(); ; {
		if err = b.do(ctx, callers[0], call); err == nil {
			break
		}
		if f, ok := errors.AsType[core.Failure](err); !ok || f.Code != core.NoService || time.Since(began) > leaveTimeout {
			return r, fmt.Errorf("calling %s: %w", service, err)
		}
	}
	var done, failed atomic.Int64
	var times latencies
	began := time.Now()
	var wait sync.WaitGroup
	for _, c := range callers {
		wait.Go(func() {
			for time.Since(began) < b.duration && ctx.Err() == nil {
				asked := time.Now()
				mine := call
				mine.Payload = b.stamp()
				if err := b.do(ctx, c, mine); err != nil {
					failed.Add(1)
					continue
				}
				done.Add(1)
				times.add(time.Since(asked))
			}
		})
	}
	wait.Wait()
	r.What, r.unit, r.times = "calls", "calls", "callers"
	r.Seconds, r.Done, r.Failed = time.Since(began).Seconds(), done.Load(), failed.Load()
	r.Delivered, r.PerSecond = r.Done, float64(r.Done)/r.Seconds
	times.into(&r)
	return r, nil
}
