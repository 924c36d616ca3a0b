package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// newHealth returns the command that asks the running broker how it is.
func newHealth() *cobra.Command {
	var s settings
	var live, verbose bool
	var only, without []string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the running broker whether it takes clients",
		Long: `health asks the running broker, at the admin address of the configuration, and prints what it
says: ok, or what is the matter. The exit code is 0 if it takes clients, and else 1, so that
it can be the health check of a container without other programs. --check asks for some of
the checks alone, and --exclude for the others; --verbose names each.`,
		Example: `  broker health --config config.yaml
  broker health --config config.yaml --live
  broker health --config config.yaml --check certificates --check sessions
  broker health --config config.yaml --verbose --exclude bridges`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			path := "/readyz"
			if live {
				path = "/livez"
			}
			query := url.Values{"check": only, "exclude": without}
			if verbose {
				query.Set("verbose", "")
			}
			status, body, err := o.ask(cmd.Context(), http.MethodGet, path, query)
			if err != nil {
				return err
			}
			text := strings.TrimSpace(string(body))
			if status != http.StatusOK {
				return errors.New(text)
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
				return fmt.Errorf("writing the answer: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "only whether it answers at all")
	cmd.Flags().StringArrayVar(&only, "check", nil, "only the check of this name; may be repeated")
	cmd.Flags().StringArrayVar(&without, "exclude", nil, "all but the check of this name; may be repeated")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "a line for each check")
	s.addAsking(cmd.Flags())
	return cmd
}
