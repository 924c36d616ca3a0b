package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// newSub returns the command that subscribes.
func newSub() *cobra.Command {
	var s sub
	cmd := &cobra.Command{
		Use:   "sub TARGET TOPIC...",
		Short: "Subscribe as a client of a format, and print what is heard",
		Long: `sub subscribes to topics, or to patterns where the format has them, and prints each
message on a line of its own: the topic, where the format says it, and the payload.
When the connection ends it is made again.

` + targetHelp,
		Example: `  broker sub wsify://127.0.0.1:3000/ws news/today
  broker sub vws://127.0.0.1:8080/ws 'news/#' --count 1 --format json
  broker sub web news/today --config config.yaml`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return s.run(ctx, args[0], args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	s.target.add(cmd, 0, "how long to listen; 0 is for ever. It is a failure (exit code 3) only with --count")
	s.form.add(cmd.Flags())
	cmd.Flags().IntVarP(&s.count, "count", "n", 0, "end after so many messages; 0 is never")
	return cmd
}

// sub are the values of the flags.
type sub struct {
	target target
	form   form
	count  int
}

func (s *sub) run(ctx context.Context, name string, topics []string, out, log io.Writer) error {
	if err := s.form.check(); err != nil {
		return err
	}
	defer s.target.close()
	o, err := s.target.options(name)
	if err != nil {
		return err
	}
	ctx, cancel := s.target.within(ctx)
	defer cancel()
	enough, printed := make(chan error, 1), 0
	o.Heard = func(ev core.Event) {
		switch {
		case ev.Kind == core.Failed:
			tellEnd(enough, ev.Failure)
		case ev.Kind == core.Message && (s.count == 0 || printed < s.count):
			printed++
			if err := s.form.print(out, ev, true); err != nil || printed == s.count {
				tellEnd(enough, err)
			}
		}
	}
	o.Changed = func(err error) {
		if err != nil {
			fmt.Fprintf(log, "broker: %v; trying again\n", err)
		}
	}
	c, err := client.Dial(ctx, o)
	if err != nil {
		return s.target.explain(ctx, err)
	}
	defer leave(c)
	for _, topic := range topics {
		if _, err := c.Do(ctx, core.Command{Verb: core.Subscribe, Topic: []byte(topic), Pattern: true}); err != nil {
			return s.target.explain(ctx, fmt.Errorf("subscribing to %s: %w", topic, err))
		}
	}
	select {
	case err := <-enough:
		return err
	case <-ctx.Done():
		if s.count > 0 && s.target.timeout > 0 {
			return s.target.explain(ctx, fmt.Errorf("heard %d of %d messages: %w", printed, s.count, ctx.Err()))
		}
		return nil
	}
}

// tellEnd puts an outcome into end, unless it has one.
func tellEnd(end chan<- error, err error) {
	select {
	case end <- err:
	default:
	}
}

// leave closes a client in its own way.
func leave(c *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	c.Close(ctx)
}
