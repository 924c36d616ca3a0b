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
	src.Plugin = asking(inquiry)
	return config.Load(src, Protocols())
}

// Build does with a configuration that a program has made what Load does with a file. The error is that of
// [config.Build].
func Build(cfg config.Config, log *slog.Logger) (*config.Config, error) {
	inquiry := plugin.NewInquiry(log)
	defer inquiry.Close()
	return config.Build(cfg, Protocols(), asking(inquiry))
}

// asking returns what finds the protocol of a plugin.
func asking(inquiry *plugin.Inquiry) func(endpoint string, p config.Plugin) (core.Protocol, error) {
	return func(endpoint string, p config.Plugin) (core.Protocol, error) {
		return inquiry.Protocol(endpoint, plugin.Options{
			Command: append(append([]string(nil), p.Command...), p.Args...), Env: p.Env, Processes: p.Processes,
			Checksum: p.Checksum, Grace: p.Grace, AnswerTimeout: p.AnswerTimeout, StartTimeout: p.StartTimeout, MTLS: p.MTLS,
		})
	}
}
