package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// newVersion returns the command that prints the version.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}

// version names this program, and its platform.
func version() string {
	return fmt.Sprintf("broker %s %s %s/%s", polywire.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
