// Command broker is polywire on the command line. It is a thin layer over the root package.
//
// Exit codes: 0 success, 1 the work failed, 2 the command line is wrong, 3 it took too long.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/polywire/polywire/config"
)

func main() {
	// Each call has an id: the system's randomness is read for many at once.
	uuid.EnableRandPool()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code. An error is written to stderr once.
func run(args []string, stdout, stderr io.Writer) int {
	started := false
	return carryOut(newRoot(&started), &started, args, stdout, stderr)
}

// carryOut is run with a given root command, which sets started.
func carryOut(root *cobra.Command, started *bool, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteC()
	var faults config.Errors
	switch {
	case err == nil:
		return 0
	case !*started:
		fmt.Fprintf(stderr, "broker: %v\nSee '%s --help'.\n", err, command.CommandPath())
		return 2
	case errors.As(err, &faults):
		// Each line names its file, so nothing is put before it.
		fmt.Fprintln(stderr, faults)
	default:
		fmt.Fprintf(stderr, "broker: %v\n", err)
	}
	if _, late := errors.AsType[timedOut](err); late {
		return exitTimeout
	}
	return 1
}

// newRoot returns the whole command line. It sets started when a command begins: an error before
// that is a usage error.
func newRoot(started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "broker",
		Short: "One WebSocket broker for the clients of several old wire formats",
		Long: `broker lets WebSocket clients of different wire formats talk to each other.
One YAML file lists its endpoints; each endpoint speaks one format.`,
		Example: `  broker serve --config config.yaml
  broker check --config config.yaml`,
		Version:          version(),
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { *started = true },
		// Without a command it prints the help.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newServe(),
		newReload(),
		newConnections(),
		newKick(),
		newEndpoints(),
		newTopics(),
		newChannels(),
		newServices(),
		newSessions(),
		newNodes(),
		newTop(),
		newTap(),
		newTrace(),
		newDoctor(),
		newHealth(),
		newAdmin(),
		newCheck(),
		newConverse(),
		newSub(),
		newPub(),
		newCall(),
		newAnswer(),
		newBench(),
		newRecord(),
		newShadow(),
		newPlugin(),
		newMan(),
		newVersion(),
	)
	return root
}
