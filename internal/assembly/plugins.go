package assembly

import (
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin"
)

// Load reads and checks a configuration whose endpoints and bridges may name the built-in formats and plugins.
// It starts each plugin only to ask for its format; the output of plugins goes to log. The error is
// that of [config.Load].
func Load(src config.Source, log *slog.Logger) (*config.Config, error) {
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
