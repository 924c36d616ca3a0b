// Command stocking-router is a program that was written with stocking's router and runs
// on polywire: routes.go is the old program, main.go the new main, and router.go the
// bridge between them.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// configuration may be overridden from the environment, as that of the broker itself:
// POLYWIRE_ENDPOINTS__GAMES__LISTEN=:8000.
const configuration = `
endpoints:
  - {name: games, protocol: stocking, listen: "localhost:12345", path: /ws}
  - {name: web, protocol: wsify, listen: "localhost:3000", path: /ws}
admin: {listen: ""}
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	broker, err := newBroker(slog.Default())
	if err != nil {
		return err
	}
	go func() {
		<-broker.Ready()
		if broker.Err() != nil {
			return // Run says why
		}
		for _, ep := range broker.Endpoints() {
			fmt.Fprintln(os.Stdout, ep.Name, ep.URL)
		}
	}()
	return broker.Run(ctx)
}

// newBroker makes the broker with its routes. Tests add options.
func newBroker(log *slog.Logger, options ...polywire.Option) (*polywire.Broker, error) {
	cfg, err := config.Load(config.Source{Text: configuration, Env: os.Environ()}, polywire.Protocols())
	if err != nil {
		return nil, err
	}
	broker, err := polywire.New(cfg, log, options...)
	if err != nil {
		return nil, err
	}

	// Use: the first is outermost, as with stocking.
	broker.Use(oneAtATime())
	broker.Use(logger)
	broker.Use(traced("outer"))
	broker.Use(traced("inner"))

	On(broker, "echo", echo, nil)
	On(broker, "greet", greet, person{})
	On(broker, "trace", trace, []string{})
	On(broker, "announce", announceTo(broker), announcement{})
	Otherwise(broker, otherwise)
	return broker, nil
}
