package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// newReload returns the command that makes a running broker read its configuration again.
func newReload() *cobra.Command {
	var s settings
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running broker take its changed configuration",
		Long: `reload asks the running broker, at the admin address of the configuration, to read its
own file again, with the environment and the flags that it was started with. It
prints what becomes of each endpoint; with --dry-run nothing changes. A broken
file changes nothing, and every problem is printed.`,
		Example: `  broker reload --dry-run --config config.yaml
  broker reload --config config.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.operatorOr(cmd, "send SIGHUP to the broker instead")
			if err != nil {
				return err
			}
			plan, err := askReload(cmd.Context(), o, dryRun)
			if err != nil {
				return err
			}
			return printPlan(cmd.OutOrStdout(), plan)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would become of each endpoint")
	s.addAsking(cmd.Flags())
	return cmd
}

// askReload asks the broker to reload.
func askReload(ctx context.Context, o *operator, dryRun bool) (plan polywire.Plan, err error) {
	query := url.Values{}
	if dryRun {
		query.Set("dry_run", "1")
	}
	status, body, err := o.ask(ctx, http.MethodPost, "/reload", query)
	if err != nil {
		return plan, err
	}
	switch status {
	case http.StatusOK:
		if err := json.Unmarshal(body, &plan); err != nil {
			return plan, fmt.Errorf("reading the broker's answer: %w", err)
		}
		return plan, nil
	case http.StatusUnprocessableEntity:
		var fault struct{ Error string }
		if err := json.Unmarshal(body, &fault); err != nil {
			return plan, fmt.Errorf("reading the broker's answer: %w", err)
		}
		return plan, fmt.Errorf("nothing has changed:\n%s", fault.Error)
	}
	return plan, refusedBy(status, body)
}

// printPlan writes a table of what happens to the endpoints, and the other changes.
func printPlan(w io.Writer, p polywire.Plan) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENDPOINT\tOUTCOME")
	for _, ep := range p.Endpoints {
		fmt.Fprintf(t, "%s\t%s\n", ep.Name, ep)
	}
	if len(p.Applied) > 0 {
		fmt.Fprintf(t, "\nApplied: %s\n", strings.Join(p.Applied, ", "))
	}
	if len(p.Restart) > 0 {
		fmt.Fprintf(t, "\nNeeds a restart: %s\n", strings.Join(p.Restart, ", "))
	}
	return flush(t)
}
