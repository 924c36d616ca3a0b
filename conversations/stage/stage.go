// Package stage plays conversations against brokers that run in this process only as long as the
// conversation.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
)

// Play plays a script against a broker with the configuration cfg, whose log goes to log. It closes
// the player. If the conversation fails the error is a [*conversations.Failure].
func Play(ctx context.Context, player *conversations.Player, cfg *config.Config, log *slog.Logger) error {
	return Serve(ctx, cfg, log, func(servers map[string]*url.URL, stop func() error) error {
		player.Stop = stop
		// Close the clients first, so that the broker does not wait for their goodbye.
		return errors.Join(player.Play(ctx, servers), player.Close())
	})
}

// Serve runs a broker while f runs, or until f calls stop, which returns when the broker refuses
// calls and new clients. servers are the addresses of its endpoints, with that of its metrics under
// "admin".
func Serve(ctx context.Context, cfg *config.Config, log *slog.Logger, f func(servers map[string]*url.URL, stop func() error) error) error {
	broker, err := polywire.New(cfg, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- broker.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-broker.Ready():
	}
	if broker.Err() != nil {
		return <-ended
	}
	servers, err := addresses(broker)
	if err == nil {
		err = f(servers, func() error {
			cancel()
			<-broker.Draining()
			return nil
		})
	}
	cancel()
	return errors.Join(err, <-ended)
}

// addresses returns the endpoints of a ready broker, and its metrics page.
func addresses(broker *polywire.Broker) (map[string]*url.URL, error) {
	texts := map[string]string{"admin": strings.TrimSuffix(broker.AdminURL(), "/metrics")}
	for _, ep := range broker.Endpoints() {
		texts[ep.Name] = ep.URL
	}
	servers := make(map[string]*url.URL, len(texts))
	for name, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("the address of %s: %w", name, err)
		}
		servers[name] = u
	}
	return servers, nil
}
