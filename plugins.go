package polywire

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin"
)

// Load reads and checks a configuration whose endpoints may name the built-in formats
// and plugins. Plugins are started for as long as it takes to ask what they are; what
// they say goes to log, nil is slog.Default(). The error is that of [config.Load].
func Load(src config.Source, log *slog.Logger) (*config.Config, error) {
	if log == nil {
		log = slog.Default()
	}
	inquiry := plugin.NewInquiry(log)
	defer inquiry.Close()
	src.Plugin = func(endpoint string, p config.Plugin) (core.Protocol, error) {
		return inquiry.Protocol(endpoint, plugin.Options{
			Command: append(append([]string(nil), p.Command...), p.Args...), Env: p.Env, Processes: p.Processes,
			Checksum: p.Checksum, Grace: p.Grace, AnswerTimeout: p.AnswerTimeout, StartTimeout: p.StartTimeout, MTLS: p.MTLS,
		})
	}
	return config.Load(src, Protocols())
}

// translator is a format whose plugin runs while the broker does.
type translator interface {
	Start(*core.Endpoint, *slog.Logger) error
	Stop()
}

var (
	_ translator = (*plugin.Format)(nil)
	_ translator = (*plugin.HTTPFormat)(nil)
)

// startPlugins starts the plugins of all endpoints, or none.
func (b *Broker) startPlugins() error {
	var errs []error
	for _, ep := range b.endpoints {
		if t, ok := ep.Format.(translator); ok {
			if err := t.Start(ep.Endpoint, b.log.With("endpoint", ep.Name)); err != nil {
				errs = append(errs, fmt.Errorf("endpoint %q: plugin: %w", ep.Name, err))
			}
		}
	}
	if len(errs) > 0 {
		b.stopPlugins()
	}
	return errors.Join(errs...)
}

// stopPlugins ends the plugins that run.
func (b *Broker) stopPlugins() {
	for _, ep := range b.endpoints {
		if t, ok := ep.Format.(translator); ok {
			t.Stop()
		}
	}
}
