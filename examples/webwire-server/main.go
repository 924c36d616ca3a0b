// Command webwire-server is a program that was written with webwire's server library,
// its hooks and its session manager, and runs on polywire: chat.go is the server
// implementation, sessions.go the session manager and key generator, and main.go the new
// main.
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

// configuration may be overridden from the environment, as that of the broker itself:
// POLYWIRE_ENDPOINTS__MOBILE__LISTEN=:8000.
const configuration = `
endpoints:
  - name: mobile
    protocol: webwire
    listen: "localhost:8081"
    options: {sessions: {max_connections: 2}}
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
	cfg, err := config.Load(config.Source{Text: configuration, Env: os.Environ()}, polywire.Protocols())
	if err != nil {
		return err
	}
	sessions := newSessions()
	server := newChat(sessions)
	broker, err := polywire.New(cfg, slog.Default(),
		polywire.WithHooks(core.Hooks{
			BeforeUpgrade:   server.BeforeUpgrade,
			Connected:       server.OnClientConnected,
			Disconnected:    server.OnClientDisconnected,
			SessionCreated:  server.OnSessionCreated,
			SessionRestored: server.OnSessionLookup,
			SessionClosed:   server.OnSessionClosed,
		}),
		polywire.WithSessions(sessions),
		polywire.WithSessionKeys(generate),
	)
	if err != nil {
		return err
	}
	server.broker = broker
	broker.Handle("auth", server.auth)
	broker.Handle("msg", server.message)
	broker.Handle("kick", server.kick)
	broker.Otherwise(server.unknown)
	broker.Hear("typing", server.OnSignal)

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
