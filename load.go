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
