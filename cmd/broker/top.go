package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// newTop returns the command that shows what a running broker does now.
func newTop() *cobra.Command {
	var s settings
	var interval time.Duration
	var count, rows int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what the running broker does now, again and again",
		Long: `top asks the running broker, at the admin address of the configuration, every few seconds what
its endpoints do, and which connections are the busiest (most bytes a second), the slowest
(most bytes that wait because the client does not read them) and the newest. At a terminal
each screen replaces the one before; Ctrl-C ends it. In a cluster it shows all nodes.`,
		Example: `  broker top --config config.yaml
  broker top --config config.yaml --count 1 --rows 20`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case interval < 100*time.Millisecond:
				return fmt.Errorf("--interval must be at least 100ms, not %s", interval)
			case rows < 1 || rows > 1000:
				return fmt.Errorf("--rows must be from 1 to 1000, not %d", rows)
			}
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			t := top{operator: o, rows: rows, asJSON: asJSON, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), terminal: newLive(cmd.OutOrStdout()).terminal}
			if err := t.run(ctx, interval, count); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&interval, "interval", 2*time.Second, "time between two screens")
	flags.IntVar(&count, "count", 0, "end after so many screens; 0 goes on")
	flags.IntVar(&rows, "rows", 5, "show so many connections of each sort, up to 1000")
	flags.BoolVar(&asJSON, "json", false, "print each screen as a line of JSON")
	s.addAsking(flags)
	return cmd
}

// top shows screens.
type top struct {
	operator  *operator
	rows      int
	asJSON    bool
	out, errs io.Writer
	terminal  bool
}

// screen is what the broker does at a moment.
type screen struct {
	Time      time.Time                        `json:"time"`
	Endpoints []polywire.Endpoint              `json:"endpoints"`
	Sorts     map[string][]polywire.Connection `json:"connections"`
	Total     int                              `json:"total"`
	Missing   []string                         `json:"missing,omitempty"`
}

// sorts are the sorts of connections that are shown, and what they are called.
var sorts = [...][2]string{{"busy", "busiest"}, {"queued", "slowest"}, {"newest", "newest"}}

// run shows screens until ctx ends.
func (t *top) run(ctx context.Context, interval time.Duration, count int) error {
	before, err := t.look(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := t.look(ctx)
		if err != nil {
			return err
		}
		if err := t.show(before, now); err != nil {
			return err
		}
		if n == count {
			return nil
		}
		before = now
	}
}

// look asks the broker.
func (t *top) look(ctx context.Context) (*screen, error) {
	s := &screen{Time: time.Now(), Sorts: make(map[string][]polywire.Connection)}
	var endpoints polywire.EndpointList
	if err := t.operator.get(ctx, http.MethodGet, "/v1/endpoints", url.Values{"limit": {"1000"}}, &endpoints); err != nil {
		return nil, err
	}
	s.Endpoints, s.Missing = endpoints.Endpoints, endpoints.Missing
	for _, sort := range sorts {
		var list polywire.ConnectionList
		q := url.Values{"sort": {sort[0]}, "limit": {strconv.Itoa(t.rows)}}
		if err := t.operator.get(ctx, http.MethodGet, "/v1/connections", q, &list); err != nil {
			return nil, err
		}
		s.Sorts[sort[0]], s.Total = list.Connections, list.Total
	}
	return s, nil
}

// show writes a screen. What endpoints do a second is what they did since the one before.
func (t *top) show(before, now *screen) error {
	if t.asJSON {
		if err := json.NewEncoder(t.out).Encode(now); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		return nil
	}
	var text bytes.Buffer
	if t.terminal {
		text.WriteString("\x1b[H\x1b[2J")
	}
	fmt.Fprintf(&text, "%s  %d connections\n\n", now.Time.Format(time.TimeOnly), now.Total)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENDPOINT\tPROTOCOL\tNODE\tCONNECTIONS\tSLOW\tQUEUED\tIN/S\tOUT/S\tBYTES IN/S\tBYTES OUT/S\tREFUSED/S\tDROPPED/S")
	was := make(map[[2]string]polywire.Endpoint)
	for _, e := range before.Endpoints {
		was[[2]string{e.Node, e.Endpoint}] = e
	}
	seconds := now.Time.Sub(before.Time).Seconds()
	for _, e := range now.Endpoints {
		old := was[[2]string{e.Node, e.Endpoint}]
		rate := func(now, before uint64) string {
			if now < before { // it was started again
				before = 0
			}
			return shortNumber(float64(now-before) / seconds)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Endpoint, e.Protocol, at(e.Node), e.Connections, e.Slow, shortNumber(float64(e.QueuedBytes)),
			rate(e.MessagesIn, old.MessagesIn), rate(e.MessagesOut, old.MessagesOut), rate(e.BytesIn, old.BytesIn), rate(e.BytesOut, old.BytesOut),
			rate(e.Refused, old.Refused), rate(e.Dropped, old.Dropped))
	}
	if err := flush(table); err != nil {
		return err
	}
	for _, sort := range sorts {
		fmt.Fprintf(&text, "\n%s\n", sort[1])
		fmt.Fprintln(table, "CONNECTION\tENDPOINT\tNODE\tREMOTE\tUSER\tAGE\tQUEUED\tIN/S\tOUT/S\tBYTES IN/S\tBYTES OUT/S")
		for _, c := range now.Sorts[sort[0]] {
			r := c.Rates
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Endpoint, at(c.Node), c.Remote, at(plain(c.User)), now.Time.Sub(c.Opened).Round(time.Second),
				shortNumber(float64(c.QueuedBytes)), shortNumber(r.MessagesIn), shortNumber(r.MessagesOut), shortNumber(r.BytesIn), shortNumber(r.BytesOut))
		}
		if err := flush(table); err != nil {
			return err
		}
	}
	if !t.terminal {
		text.WriteByte('\n')
	}
	warnMissing(t.errs, now.Missing)
	if _, err := t.out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("writing the screen: %w", err)
	}
	return nil
}

// shortNumber writes a number with three digits and a unit.
func shortNumber(n float64) string {
	unit := 0
	const units = " kMGTPE"
	for ; n >= 999.5 && unit < len(units)-1; unit++ {
		n /= 1000
	}
	digits := 0
	if n < 9.95 && (unit > 0 || n != float64(int(n))) {
		digits = 1
	}
	text := strconv.FormatFloat(n, 'f', digits, 64)
	if unit > 0 {
		text += units[unit : unit+1]
	}
	return text
}
