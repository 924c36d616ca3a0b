package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// newServe returns the command that runs the broker.
func newServe() *cobra.Command {
	var s settings
	var watching bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the broker",
		Long: `serve listens on every endpoint of the configuration, prints the addresses that
clients dial, and runs until SIGINT or SIGTERM. It then lets nobody new in, waits
for running calls and says goodbye to all clients, as drain: of the configuration
says; a second signal ends it at once. The log goes to stderr.

SIGHUP makes it read the configuration again and apply what has changed, and so
does a change of the file (--watch=false turns that off); see "broker reload".`,
		Example: `  broker serve
  broker serve --config config.yaml --log-level debug
  broker serve --set endpoints.web.listen=:3001 --set endpoints.web.options.broadcasting_key=s3cret
  POLYWIRE_LOG__FORMAT=json broker serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := newWatch(s.file)
			cfg, err := s.load()
			if err != nil {
				return err
			}
			if !watching {
				file = nil
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			// Once the first signal is taken the second has its usual effect.
			context.AfterFunc(ctx, stop)
			makeRoom(cfg)
			return s.serve(ctx, cfg, file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&watching, "watch", true, "reload when the configuration file changes")
	s.add(cmd.Flags())
	return cmd
}

// serve runs a broker until ctx ends, and reloads it. A nil file is not watched.
func (s *settings) serve(ctx context.Context, cfg *config.Config, file *watch, stdout, stderr io.Writer) error {
	level := new(slog.LevelVar)
	loops := cfg.Network.Loops
	again := func() (*config.Config, error) {
		cfg, err := s.load()
		if err == nil && cfg.Network.Loops == 0 {
			cfg.Network.Loops = loops
		}
		return cfg, err
	}
	broker, err := polywire.New(cfg, newLogger(cfg.Log.Format, level, stderr), polywire.WithSource(again), polywire.WithLogLevel(level))
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { ended <- broker.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-broker.Ready():
	}
	if broker.Err() != nil {
		return <-ended
	}
	if err := printEndpoints(stdout, broker.Endpoints(), broker.AdminURL()); err != nil {
		// Nobody reads the table; the broker serves all the same.
		fmt.Fprintf(stderr, "broker: %v\n", err)
	}
	reloading(ctx, hangup, file, watchInterval, func() {
		// What becomes of it is logged there.
		_, _ = broker.Reread(false)
	})
	return <-ended
}

// makeRoom gives every event loop a processor besides those for other
// goroutines, unless the environment says how many there are: a loop blocks in
// epoll_wait and must win its processor back each time (network.md, fact 4).
func makeRoom(cfg *config.Config) {
	cpus := runtime.GOMAXPROCS(0)
	if cfg.Network.Loops == 0 {
		cfg.Network.Loops = cpus
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cpus + cfg.Network.Loops)
	}
}

func newLogger(format string, level slog.Leveler, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
