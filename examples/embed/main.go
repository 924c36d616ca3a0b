// Command embed is the program that docs/embedding.md shows: a broker with a hook and a handler.
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
	"github.com/polywire/polywire/core"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	// Load knows plugins too, and POLYWIRE_… of the environment.
	cfg, err := polywire.Load(config.Source{File: "config.yaml", Env: os.Environ()}, nil)
	if err != nil {
		return err
	}
	broker, err := polywire.New(cfg, slog.Default(), polywire.WithHooks(core.Hooks{
		Connected: func(_ context.Context, c core.Client) { log.Print("here is ", c.Remote) },
	}))
	if err != nil {
		return err
	}
	broker.Handle("greet", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		if len(c.Payload.Data) == 0 {
			return core.Payload{}, core.Failure{Code: "NAMELESS", Text: "who are you?"}
		}
		return core.Payload{Kind: core.Text, Data: append([]byte("hello "), c.Payload.Data...)}, nil
	})
	go func() {
		<-broker.Ready()
		if broker.Err() != nil {
			return // Run says why.
		}
		for _, ep := range broker.Endpoints() {
			fmt.Fprintln(os.Stdout, ep.Name, ep.URL)
		}
	}()
	return broker.Run(ctx)
}
