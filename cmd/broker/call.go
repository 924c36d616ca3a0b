package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// newCall returns the command that calls a service.
func newCall() *cobra.Command {
	var c calling
	cmd := &cobra.Command{
		Use:   "call TARGET SERVICE [PAYLOAD|-|@FILE]",
		Short: "Call a service as a client of a format, and print the answer",
		Long: `call asks a service and prints its answer. A failure is printed as CODE: TEXT to
standard error, with exit code 1; no answer in time has exit code 3.

A service of wubsub is CHANNEL/METHOD. wsify and vws have no calls; at a polywire broker
--by-topic stands for them.

` + payloadHelp + `

` + targetHelp,
		Example: `  broker call wubsub://127.0.0.1:9190/ bots/echo hello
  broker call webwire://127.0.0.1:8081/ bots/echo '{"n":1}' --timeout 2s
  broker call vws://127.0.0.1:8080/ws bots/echo hello --by-topic`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return c.run(ctx, args[0], args[1], args[2:], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	c.target.add(cmd, 30*time.Second, "how long to wait for the answer; 0 is for ever; exit code 3 beyond it")
	c.target.addByTopic(cmd.Flags())
	c.kind.add(cmd.Flags())
	c.form.add(cmd.Flags())
	return cmd
}

// calling are the values of the flags.
type calling struct {
	target target
	kind   kind
	form   form
}

func (c *calling) run(ctx context.Context, name, service string, args []string, stdin io.Reader, out io.Writer) error {
	if err := c.form.check(); err != nil {
		return err
	}
	payload, err := c.kind.read(args, stdin)
	if err != nil {
		return err
	}
	defer c.target.close()
	o, err := c.target.options(name)
	if err != nil {
		return err
	}
	ctx, cancel := c.target.within(ctx)
	defer cancel()
	conn, err := client.Dial(ctx, o)
	if err != nil {
		return c.target.explain(ctx, err)
	}
	defer leave(conn)
	answer, err := conn.Do(ctx, core.Command{Verb: core.Call, Topic: []byte(service), Payload: payload})
	if err != nil {
		return c.target.explain(ctx, fmt.Errorf("calling %s: %w", service, err))
	}
	answer.Topic = nil
	return c.form.print(out, answer, false)
}
