package polywire

import (
	"log/slog"

	"github.com/polywire/polywire/assembly"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// Protocols returns the wire formats that are built in.
func Protocols() []core.Protocol { return assembly.Protocols() }

// Load reads and checks a configuration whose endpoints may name the built-in formats
// and plugins. Plugins are started for as long as it takes to ask what they are; what
// they say goes to log, nil is slog.Default(). The error is that of [config.Load].
func Load(src config.Source, log *slog.Logger) (*config.Config, error) {
	if log == nil {
		log = slog.Default()
	}
	return assembly.Load(src, log)
}
