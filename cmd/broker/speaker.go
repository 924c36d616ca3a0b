package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// runner is a format in a plugin, which runs from Start to Stop.
type runner interface {
	Start(*core.Endpoint, *slog.Logger) error
	Stop()
}

// pluginOf returns the protocol of the configured endpoint whose plugin speaks a format, and the format with
// the endpoint's options.
func (t *target) pluginOf(protocol string) (core.Protocol, core.Format, error) {
	unknown := unknownFormat(protocol)
	cfg, err := t.load(io.Discard)
	if errors.Is(err, fs.ErrNotExist) {
		return core.Protocol{}, nil, fmt.Errorf("%w, and those of plugins in a configuration (--config)", unknown)
	}
	if err != nil {
		return core.Protocol{}, nil, fmt.Errorf("%w, and %s cannot be read, which may name a plugin's: %w", unknown, t.settings.file.path, err)
	}
	for i := range cfg.Endpoints {
		if ep := &cfg.Endpoints[i]; ofPlugin(ep) && ep.Protocol == protocol {
			return core.Protocol{Name: protocol, Listen: ep.Listen, Path: ep.Path}, ep.Format, nil
		}
	}
	return core.Protocol{}, nil, fmt.Errorf("%w, and those of plugins in %s, which has no endpoint with this one", unknown, t.settings.file.path)
}

func ofPlugin(ep *config.Endpoint) bool { return len(ep.Plugin.Command) > 0 }

// speaker returns the client's side of a format. It runs a plugin's until close.
func (t *target) speaker(protocol string, format core.Format) (core.ClientFormat, error) {
	c, ok := format.(core.ClientFormat)
	if !ok {
		return nil, fmt.Errorf("the format %s has no client's side here%s", protocol, pluginHint(format))
	}
	if r, ok := format.(runner); ok {
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if err := r.Start(&core.Endpoint{Name: protocol, Protocol: protocol, Stats: new(core.Stats)}, log); err != nil {
			return nil, fmt.Errorf("starting the plugin of the format %s: %w", protocol, err)
		}
		t.stop = r.Stop
	}
	return c, nil
}

func pluginHint(format core.Format) string {
	if _, ok := format.(core.RemoteFormat); ok {
		return ": its plugin does not offer one"
	}
	return ""
}

// close ends what the target runs. It may be called if it runs nothing.
func (t *target) close() {
	if t.stop != nil {
		t.stop()
	}
}

// pluginSchemes returns the schemes of the configured plugins that can be spoken to.
func pluginSchemes(cfg *config.Config) (all []string) {
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		if _, ok := ep.Format.(core.ClientFormat); ok && ofPlugin(ep) && !strings.Contains(ep.Protocol, "+") {
			all = append(all, ep.Protocol+"://")
		}
	}
	return all
}
