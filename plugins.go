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

// start starts the plugin of the site's endpoint, if it has one. It runs until close.
func (s *site) start(log *slog.Logger) error {
	t, ok := s.Format.(translator)
	if !ok {
		return nil
	}
	if err := t.Start(s.Endpoint.Endpoint, log.With("endpoint", s.Name)); err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	return nil
}

// startSites starts the plugins of all endpoints.
func (b *Broker) startSites() error {
	var errs []error
	for _, s := range b.state.Load().sites {
		if err := s.start(b.log); err != nil {
			errs = append(errs, fmt.Errorf("endpoint %q: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}
