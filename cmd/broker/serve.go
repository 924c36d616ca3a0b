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
	"github.com/polywire/polywire/sockets"
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
does a change of the file (--watch=false turns that off); see "broker reload".

SIGUSR2 makes it start the program again, as it is on disk now, and hand its sockets
over: once the new process serves, this one takes no new clients, says goodbye to its
own and ends. No client is refused. If the new process does not come to serve, this
one goes on. Sockets that systemd passes are taken, and systemd is told when the
broker is ready.`,
		Example: `  broker serve
  broker serve --config config.yaml --log-level debug
  broker serve --set endpoints.web.listen=:3001 --set endpoints.web.options.broadcasting_key=s3cret
  POLYWIRE_LOG__FORMAT=json broker serve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given, err := sockets.Inherit()
			if err != nil {
				return err
			}
			file := newWatch(s.file.path)
			cfg, err := s.load(cmd.InOrStdin())
			if err != nil {
				return err
			}
			if !watching || s.file.path == standardInput {
				file = nil
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			// After the first signal a second one has its default effect.
			context.AfterFunc(ctx, stop)
			makeRoom(cfg)
			return s.serve(ctx, cfg, given, file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&watching, "watch", true, "reload when the configuration file changes")
	s.add(cmd.Flags())
	return cmd
}

// serve runs a broker until ctx ends, and reloads it. A nil file is not watched.
func (s *settings) serve(ctx context.Context, cfg *config.Config, given *sockets.Given, file *watch, stdout, stderr io.Writer) error {
	level := new(slog.LevelVar)
	log := newLogger(cfg.Log.Format, level, stderr)
	loops := cfg.Network.Loops
	again := func() (*config.Config, error) {
		cfg, err := s.reload()
		if err == nil && cfg.Network.Loops == 0 {
			cfg.Network.Loops = loops
		}
		return cfg, err
	}
	manager := &manager{log: log}
	broker, err := polywire.New(cfg, log, polywire.WithSource(again), polywire.WithLogLevel(level), polywire.WithListen(given.Listen),
		polywire.WithReloading(manager.begin))
	if err != nil {
		return err
	}
	hangup, replace := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	signal.Notify(replace, syscall.SIGUSR2)
	defer signal.Stop(replace)
	running, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	defer context.AfterFunc(ctx, func() {
		manager.stopping(broker.Config().Drain)
		if given.FromSystemd() {
			// New clients now wait at the sockets for the next process.
			end(polywire.ErrHandedOver)
		}
		end(nil)
	})()
	ended := make(chan error, 1)
	go func() { ended <- broker.Run(running) }()
	select {
	case err := <-ended:
		return err
	case <-broker.Ready():
	}
	if broker.Err() != nil {
		return <-ended
	}
	if err := printEndpoints(stdout, broker.Endpoints(), broker.AdminURL()); err != nil {
		// Nobody reads the table, but the broker serves all the same.
		fmt.Fprintf(stderr, "broker: %v\n", err)
	}
	unused, err := given.Ready()
	if err != nil {
		log.Warn("taking over", "error", err)
	}
	for _, address := range unused {
		log.Warn("a socket that was given is at no address of the configuration and is closed", "address", address)
	}
	manager.ready()
	go func() {
		// Whoever asked for it: a signal, or an operator.
		<-broker.Draining()
		end(nil)
	}()
	reloading(running, hangup, replace, file, watchInterval, func() {
		// Reread logs the result.
		_, _ = broker.Reread(false)
	}, func() {
		if err := s.next(running, broker, given, manager); err != nil {
			log.Error("this process goes on", "error", err)
			return
		}
		end(polywire.ErrHandedOver)
	})
	return <-ended
}

// makeRoom gives every event loop a processor in addition to those of other goroutines, unless the
// environment sets the number: a loop blocks in epoll_wait and must win its processor back each
// time (docs/network.md, "Processors").
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
		options.ReplaceAttr = readable
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// readable formats durations for people; JSON would have nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
