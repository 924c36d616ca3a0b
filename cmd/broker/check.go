package main

import (
	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// newCheck returns the command that checks a configuration.
func newCheck() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration without listening",
		Long: `check reads the configuration as serve does, with the environment and the flags,
and prints every problem with its file and line. Then it opens what the configuration
names, such as files of keys, certificates and session stores, and prints what cannot be
opened, or else the endpoints.`,
		Example: `  broker check --config config.yaml
  POLYWIRE_ENDPOINTS__WEB__LISTEN=:3001 broker check
  generate-config | broker check --config -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if err := polywire.Check(cfg); err != nil {
				return err
			}
			return printEndpoints(cmd.OutOrStdout(), polywire.Endpoints(cfg), polywire.AdminURL(cfg))
		},
	}
	s.add(cmd.Flags())
	return cmd
}
