package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// newAnswer returns the command that answers a service.
func newAnswer() *cobra.Command {
	var a answering
	cmd := &cobra.Command{
		Use:   "answer TARGET SERVICE (--echo | --text TEXT | -- COMMAND...)",
		Short: "Answer a service as a client of a format",
		Long: `answer offers a service and answers each request: with what was asked (--echo), with a
fixed text, or with what a command writes. The command reads the request's payload
from standard input, has the service in POLYWIRE_SERVICE, and fails the call if its
exit code is not 0; what it writes to standard error is the failure's text.

In wubsub it owns the channel of the service, by default its first level. Formats in
which clients do not answer need --by-topic, at a polywire broker.

` + targetHelp,
		Example: `  broker answer wubsub://127.0.0.1:9190/ bots/echo --echo
  broker answer wsify://127.0.0.1:3000/ws clock/now --by-topic -- date +%s
  broker answer vws://127.0.0.1:8080/ws greeter/hello --by-topic --text 'hello there' --count 1`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			a.textGiven = cmd.Flags().Changed("text")
			return a.run(ctx, args[0], args[1], args[2:], cmd.ErrOrStderr())
		},
	}
	a.target.add(cmd, 0, "how long to answer; 0 is for ever")
	a.target.addByTopic(cmd.Flags())
	a.kind.add(cmd.Flags())
	flags := cmd.Flags()
	flags.BoolVar(&a.echo, "echo", false, "answer with what was asked")
	flags.StringVar(&a.text, "text", "", "answer with this")
	flags.StringVar(&a.own, "own", "", "the channel to own for wubsub; default: the first level of the service")
	flags.IntVarP(&a.count, "count", "n", 0, "end after so many requests; 0 is never")
	flags.IntVar(&a.parallel, "parallel", 1, "how many requests are answered at once")
	return cmd
}

// answering are the values of the flags.
type answering struct {
	target          target
	kind            kind
	echo, textGiven bool
	text, own       string
	count, parallel int
}

// maxWaiting bounds the requests that wait for the ones before them.
const maxWaiting = 1024

func (a *answering) run(ctx context.Context, name, service string, command []string, log io.Writer) error {
	ways := 0
	for _, given := range []bool{a.echo, a.textGiven, len(command) > 0} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("answer with one of --echo, --text TEXT, and -- COMMAND")
	case a.parallel < 1:
		return errors.New("--parallel must be at least 1")
	}
	defer a.target.close()
	o, err := a.target.options(name)
	if err != nil {
		return err
	}
	ctx, cancel := a.target.within(ctx)
	defer cancel()
	end := make(chan error, 1)
	requests := make(chan core.Event, maxWaiting)
	o.Heard = func(ev core.Event) {
		switch ev.Kind {
		case core.Request:
			select {
			case requests <- ev.Clone():
			default:
				fmt.Fprintln(log, "broker: a request was dropped: too many wait")
			}
		case core.Failed, core.OfferLost:
			tellEnd(end, fmt.Errorf("offering %s: %w", service, ev.Failure))
		}
	}
	o.Changed = func(err error) {
		if err != nil {
			fmt.Fprintf(log, "broker: %v; trying again\n", err)
		}
	}
	c, err := client.Dial(ctx, o)
	if err != nil {
		return a.target.explain(ctx, err)
	}
	defer leave(c)
	if err := a.offer(ctx, c, service); err != nil {
		return a.target.explain(ctx, fmt.Errorf("offering %s: %w", service, err))
	}
	a.answerAll(ctx, c, requests, command, end, log)
	select {
	case err := <-end:
		return err
	default:
		return nil
	}
}

// offer offers the service, and owns its channel where that is the only way.
func (a *answering) offer(ctx context.Context, c *client.Client, service string) error {
	channel, method, _ := strings.Cut(service, "/")
	if a.own != "" {
		var below bool
		if channel = a.own; channel != service {
			if method, below = strings.CutPrefix(service, channel+"/"); !below {
				return fmt.Errorf("--own %s: the service does not lie below this channel", channel)
			}
		}
	}
	_, err := c.Do(ctx, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel), Services: [][]byte{[]byte(method)}})
	if _, unsayable := errors.AsType[*core.Unsayable](err); !unsayable || a.own != "" {
		return err
	}
	_, err = c.Do(ctx, core.Command{Verb: core.Offer, Services: [][]byte{[]byte(service)}})
	return err
}

// answerAll answers requests until there were enough, ctx ends, or end has something.
func (a *answering) answerAll(ctx context.Context, c *client.Client, requests <-chan core.Event, command []string, end chan error, log io.Writer) {
	var running sync.WaitGroup
	defer running.Wait()
	room := make(chan struct{}, a.parallel)
	for n := 0; a.count == 0 || n < a.count; n++ {
		var ev core.Event
		select {
		case <-ctx.Done():
			return
		case err := <-end:
			end <- err
			return
		case ev = <-requests:
		}
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			reply := a.reply(ctx, ev, command)
			if ev.OneWay {
				return
			}
			_, err := c.Do(ctx, reply)
			if _, unsayable := errors.AsType[*core.Unsayable](err); unsayable && reply.Failure.Failed() {
				// wubsub has no failed answers: the failure is the answer.
				reply.Payload = core.Payload{Kind: core.JSON, Data: core.AppendFailure(nil, reply.Failure)}
				reply.Failure = core.Failure{}
				_, err = c.Do(ctx, reply)
			}
			if err != nil {
				fmt.Fprintf(log, "broker: answering: %v\n", err)
			}
		})
	}
}

// reply returns the answer to a request.
func (a *answering) reply(ctx context.Context, ev core.Event, command []string) core.Command {
	reply := core.Command{Verb: core.Reply, Call: ev.Call, Topic: ev.Topic, As: ev.As}
	switch {
	case a.echo:
		reply.Payload = ev.Payload
		return reply
	case len(command) == 0:
		payload, err := a.kind.of([]byte(a.text))
		if err != nil {
			reply.Failure = core.Failure{Code: core.AnswererError, Text: err.Error()}
		}
		reply.Payload = payload
		return reply
	}
	var output, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(core.AppendText(nil, ev.Payload)), &output, &complaint
	cmd.Env = append(os.Environ(), "POLYWIRE_SERVICE="+string(ev.Topic))
	err := cmd.Run()
	if err == nil {
		reply.Payload, err = a.kind.of(bytes.TrimSuffix(output.Bytes(), []byte("\n")))
	}
	if err != nil {
		text := strings.TrimSpace(complaint.String())
		if text == "" {
			text = err.Error()
		}
		reply.Payload, reply.Failure = core.Payload{}, core.Failure{Code: core.AnswererError, Text: text}
	}
	return reply
}
