package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// settings are the flags with which a command finds its configuration.
type settings struct {
	file        file
	overrides   []config.Override
	credentials credentials // of commands that ask the admin server
}

// standardInput is the file name that stands for standard input.
const standardInput = "-"

// usualFile is read if no other file is given.
const usualFile = "config.yaml"

// errInput: standard input can be read only once.
var errInput = errors.New("the configuration came from standard input, which cannot be read again; start the broker with --config FILE to change it while it runs")

// file is the flag that names the configuration file.
type file struct {
	path  string
	given bool   // by the flag
	text  []byte // from standard input
}

var _ pflag.Value = (*file)(nil)

// Set sets the path. It refuses a second one, which would otherwise be ignored silently.
func (f *file) Set(path string) error {
	switch {
	case f.given:
		return fmt.Errorf("the configuration is one file, and %q was given already", f.path)
	case path == "":
		return errors.New("must name a file, or - for standard input")
	}
	f.path, f.given = path, true
	return nil
}

// String returns the path.
func (f *file) String() string { return f.path }

// Type is the placeholder of the value in the help.
func (f *file) Type() string { return "FILE" }

// source returns where the configuration is read from. Standard input is read only the first time;
// again reports that it had been read before.
func (f *file) source(stdin io.Reader) (src config.Source, again bool, err error) {
	if f.path != standardInput {
		return config.Source{File: f.path}, false, nil
	}
	src.File, again = "standard input", f.text != nil
	if !again {
		if f.text, err = io.ReadAll(io.LimitReader(stdin, maxLook)); err != nil {
			return src, false, fmt.Errorf("reading the configuration: %w", err)
		}
		// An empty input counts as a text too.
		f.text = append(f.text, '\n')
	}
	src.Text = string(f.text)
	return src, again, nil
}

// add adds the flags.
func (s *settings) add(flags *pflag.FlagSet) {
	s.file.path = cmp.Or(os.Getenv("POLYWIRE_CONFIG"), usualFile)
	flags.VarP(&s.file, "config", "c", "the configuration file, - for standard input; without the flag that of the variable POLYWIRE_CONFIG")
	flags.Var(&override{settings: s}, "set", "override one value, such as endpoints.web.listen=:3001; may be repeated")
	flags.Var(&override{s, "log-level", "log.level"}, "log-level", "debug, info, warn or error")
	flags.Var(&override{s, "log-format", "log.format"}, "log-format", "text or json")
	flags.Var(&override{s, "admin", "admin.listen"}, "admin", `the address of metrics and health; "" turns it off`)
}

// addAsking adds the flags of a command that asks the admin server.
func (s *settings) addAsking(flags *pflag.FlagSet) {
	s.add(flags)
	s.credentials.add(flags)
}

// load reads the configuration that the flags name.
func (s *settings) load(stdin io.Reader) (*config.Config, error) {
	src, _, err := s.file.source(stdin)
	if err != nil {
		return nil, err
	}
	return s.read(src)
}

// reload reads the configuration again.
func (s *settings) reload() (*config.Config, error) {
	src, again, _ := s.file.source(nil)
	if again {
		return nil, errInput
	}
	return s.read(src)
}

func (s *settings) read(src config.Source) (*config.Config, error) {
	src.Env, src.Set = os.Environ(), s.overrides
	cfg, err := polywire.Load(src, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if errors.Is(err, fs.ErrNotExist) && src.File == usualFile {
		err = fmt.Errorf("%w; name the file with --config FILE or the variable POLYWIRE_CONFIG", err)
	}
	return cfg, err
}

// override is a flag that sets one key of the configuration, or any key if key is "".
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

// String returns nothing: these flags have no default.
func (o *override) String() string { return "" }

// Type is the placeholder of the value in the help.
func (o *override) Type() string {
	if o.key == "" {
		return "KEY=VALUE"
	}
	return "string"
}

// noArgs refuses arguments, and says how to give the configuration instead.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no arguments, but was given %q; the configuration file is given with --config", cmd.CommandPath(), args[0])
}
