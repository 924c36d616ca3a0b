package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/config"
)

// newAdmin returns the command for what belongs to the admin server.
func newAdmin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Prepare who may ask the admin server",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAdminToken())
	return cmd
}

// tokenBytes is how long a token is before it is encoded: too long to guess.
const tokenBytes = 32

// newAdminToken returns the command that makes a token.
func newAdminToken() *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Make a token for the admin server, and the hash of it for the configuration",
		Long: `token prints a new random token, and its hash. The hash goes into the configuration:

  admin:
    tokens:
      - {hash: "sha256:…", subject: ann, role: read}

The token goes to who shows it, who gives it to broker in the variable ` + tokenVariable + `
or with --token-file. It cannot be found out from the hash, and is not kept anywhere.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token := newToken()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "token  %s\nhash   %s\n", token, config.DigestOf(token))
			return err
		},
	}
}

func newToken() string {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
