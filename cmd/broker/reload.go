package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
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
			cfg, err := s.load(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if cfg.Admin.Listen == "" {
				return errors.New("the configuration has no admin address to ask at; send SIGHUP to the broker instead")
			}
			plan, err := askReload(cmd.Context(), cfg, dryRun)
			if err != nil {
				return err
			}
			return printPlan(cmd.OutOrStdout(), plan)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would become of each endpoint")
	s.add(cmd.Flags())
	return cmd
}

// reloadTimeout bounds a reload: it is the time that the admin server allows.
const reloadTimeout = 30 * time.Second

// askReload asks the broker of a configuration.
func askReload(ctx context.Context, cfg *config.Config, dryRun bool) (polywire.Plan, error) {
	var plan polywire.Plan
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	path := "/reload"
	if dryRun {
		path += "?dry_run=1"
	}
	response, err := askAdmin(ctx, cfg, http.MethodPost, path)
	if err != nil {
		return plan, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return plan, fmt.Errorf("asking the broker: %w", err)
	}
	switch response.StatusCode {
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
	return plan, fmt.Errorf("asking the broker: %s: %s", response.Status, strings.TrimSpace(string(body)))
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
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}
