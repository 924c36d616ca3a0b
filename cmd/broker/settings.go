package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// settings are the flags by which a command finds its configuration.
type settings struct {
	file      string
	overrides []config.Override
}

// add defines the flags.
func (s *settings) add(flags *pflag.FlagSet) {
	flags.StringVarP(&s.file, "config", "c", "config.yaml", "the configuration file")
	flags.Var(&override{settings: s}, "set", "override one value, such as endpoints.web.listen=:3001; may be repeated")
	flags.Var(&override{s, "log-level", "log.level"}, "log-level", "debug, info, warn or error")
	flags.Var(&override{s, "log-format", "log.format"}, "log-format", "text or json")
	flags.Var(&override{s, "admin", "admin.listen"}, "admin", `the address of metrics and health; "" turns it off`)
}

// load reads the configuration that the flags name.
func (s *settings) load() (*config.Config, error) {
	src := config.Source{File: s.file, Env: os.Environ(), Set: s.overrides}
	return polywire.Load(src, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// override is a flag that sets one key of the configuration, or any if key is "".
type override struct {
	settings *settings
	flag     string
	key      string
}

var _ pflag.Value = (*override)(nil)

// Set appends the override, so that later flags win.
func (o *override) Set(value string) error {
	from, key := "--"+o.flag, o.key
	if key == "" {
		var ok bool
		from = "--set"
		if key, value, ok = strings.Cut(value, "="); !ok || key == "" {
			return fmt.Errorf("must be KEY=VALUE")
		}
	}
	o.settings.overrides = append(o.settings.overrides, config.Override{From: from, Key: key, Value: value})
	return nil
}

// String returns nothing: these flags have no default of their own.
func (o *override) String() string { return "" }

// Type is what the help calls the value.
func (o *override) Type() string {
	if o.key == "" {
		return "KEY=VALUE"
	}
	return "string"
}
