package polywire

import (
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/assembly"
)

// Protocols returns the built-in wire formats.
func Protocols() []core.Protocol { return assembly.Protocols() }

// Load reads and checks a configuration whose endpoints may name the built-in formats and plugins.
// It starts each plugin only to ask for its format; the output of plugins goes to log, nil means
// slog.Default(). The error is that of [config.Load].
func Load(src config.Source, log *slog.Logger) (*config.Config, error) {
	if log == nil {
		log = slog.Default()
	}
	return assembly.Load(src, log)
}

// Build checks a configuration that a program has made in Go, and fills in what it leaves out, as [config.Build]
// says; its endpoints may name the built-in formats and plugins, as with Load. cfg is not changed. New and
// Reload do it themselves; Build is for who wants the faults early, or a [Plan].
func Build(cfg config.Config, log *slog.Logger) (*config.Config, error) {
	if log == nil {
		log = slog.Default()
	}
	return assembly.Build(cfg, log)
}

// ready returns cfg if it was loaded or built, and else what Build makes of it.
func ready(cfg *config.Config, log *slog.Logger) (*config.Config, error) {
	if cfg == nil {
		return nil, errNoConfig
	}
	if built, err := cfg.Built(); built || err != nil {
		return cfg, err
	}
	return assembly.Build(*cfg, log)
}
