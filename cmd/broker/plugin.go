package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/plugin"
	"github.com/polywire/polywire/plugin/verify"
)

// newPlugin returns the commands for authors of plugins.
func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Help for those who write codec plugins",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPluginVerify())
	return cmd
}

// newPluginVerify returns the command that verifies a plugin.
func newPluginVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [flags] PROGRAM [ARGUMENT...]",
		Short: "Check a plugin alone, without a configuration",
		Long: `verify runs a codec plugin and checks it, one line each: the handshake and the
description, its options, the conversations of its author, messages cut at every
byte, random messages, a client that does not read, and kill -9. The exit code is 1
if a check fails.

The conversations are the *.txt of a folder, "conversations" if there is one here;
conversations/README.md describes their language. In their configurations every
endpoint with a plugin, or with the plugin's own format as its protocol, gets the
program that is verified. Without a configuration a script gets an endpoint for
each format, the plugin's included, and the service echo. What clients say in them is
also what is cut and changed at random.

Flags stand before the program; what follows it is the program's own.`,
		Example: `  broker plugin verify ./my-codec
  broker plugin verify --option separator=';' --env DEBUG=1 ./my-codec --strict
  broker plugin verify --conversations tests/talks node my-codec.mjs`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, program []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			o, err := f.read(program, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return verify.Run(ctx, o, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringArrayVar(&f.options, "option", nil, "an option of the endpoint, KEY=VALUE with VALUE as JSON or else text; may be repeated")
	flags.StringToStringVar(&f.env, "env", nil, "a variable of the program's environment, NAME=VALUE; may be repeated")
	flags.StringVar(&f.conversations, "conversations", "", `the folder of conversations; default: "conversations", if there is one`)
	flags.Uint64Var(&f.seed, "seed", 1, "the seed of the random messages")
	flags.IntVar(&f.random, "random", 10_000, "how many random messages there are")
	flags.IntVar(&f.cuts, "cuts", 50_000, "how many cuts of messages there are at most")
	flags.DurationVar(&f.startTimeout, "start-timeout", 10*time.Second, "how long the program may take to start")
	flags.DurationVar(&f.answerTimeout, "answer-timeout", 2*time.Second, "how long it may take for an answer")
	flags.BoolVar(&f.verbose, "verbose", false, "show what the plugin and the brokers log")
	return cmd
}

// verifyFlags are the values of the flags.
type verifyFlags struct {
	options                     []string
	env                         map[string]string
	conversations               string
	seed                        uint64
	random, cuts                int
	startTimeout, answerTimeout time.Duration
	verbose                     bool
}

// read returns the options of the verification.
func (f *verifyFlags) read(program []string, log io.Writer) (verify.Options, error) {
	options := make(map[string]any)
	for _, o := range f.options {
		key, text, ok := strings.Cut(o, "=")
		if !ok || key == "" {
			return verify.Options{}, fmt.Errorf("--option %s: write KEY=VALUE", o)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		set(options, strings.Split(key, "."), value)
	}
	if f.conversations == "" {
		if info, err := os.Stat("conversations"); err == nil && info.IsDir() {
			f.conversations = "conversations"
		}
	}
	logger := slog.New(slog.DiscardHandler)
	if f.verbose {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	return verify.Options{
		Plugin:  plugin.Options{Command: program, Env: f.env, StartTimeout: f.startTimeout, AnswerTimeout: f.answerTimeout},
		Options: options, Conversations: f.conversations, Seed: f.seed, Random: f.random, Cuts: f.cuts, Log: logger,
	}, nil
}

// set sets the value at a path in a tree, like the dots in keys of the configuration.
func set(tree map[string]any, path []string, value any) {
	for ; len(path) > 1; path = path[1:] {
		below, ok := tree[path[0]].(map[string]any)
		if !ok {
			below = make(map[string]any)
			tree[path[0]] = below
		}
		tree = below
	}
	tree[path[0]] = value
}
