package polywire

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/assembly"
	"github.com/polywire/polywire/sockets"
)

// Option is a setting that an embedding program adds to the configuration.
type Option func(*settings) error

// settings are the combined options.
type settings struct {
	program assembly.Program
	source  func() (*config.Config, error)
	level   *slog.LevelVar
	begin   func() (end func()) // from WithReloading
	given   []*givenListener    // from WithListener

	cfg *config.Config
}

// WithHooks makes the broker call h for connections and sessions. The last one given wins.
func WithHooks(h core.Hooks) Option {
	return func(s *settings) error {
		s.program.Hooks = h
		return nil
	}
}

// WithSessions keeps sessions in store instead of where the configuration says. It applies to the
// named endpoints, or, without names, to all endpoints that have sessions. The last one given for
// an endpoint wins. A named endpoint has sessions whatever its protocol; if its format has no words
// for them, only Go handlers can use them.
func WithSessions(store core.SessionStore, endpoints ...string) Option {
	return func(s *settings) error {
		return s.each(endpoints, "WithSessions", func(name string) { s.program.Stores[name] = store })
	}
}

// WithSessionKeys makes new session keys with keys, for the same endpoints as WithSessions.
func WithSessionKeys(keys core.SessionKeys, endpoints ...string) Option {
	return func(s *settings) error {
		return s.each(endpoints, "WithSessionKeys", func(name string) { s.program.Keys[name] = keys })
	}
}

// WithSource sets where the configuration comes from: load returns the current one, as
// [config.Load] does. Broker.Reread and POST /reload of the admin server use it.
func WithSource(load func() (*config.Config, error)) Option {
	return func(s *settings) error {
		s.source = load
		return nil
	}
}

// WithReloading makes the broker call begin when a reload starts, by Reload, Reread or POST /reload
// of the admin server, and call the function that begin returns when the reload is over, whether it
// succeeded or not. Both may block, which delays the reload, and must not reload themselves.
func WithReloading(begin func() (end func())) Option {
	return func(s *settings) error {
		if begin == nil {
			return errors.New("WithReloading has no function")
		}
		s.begin = begin
		return nil
	}
}

// WithLogLevel makes the broker set the level of the log from the configuration, at the start and
// at each reload.
func WithLogLevel(level *slog.LevelVar) Option {
	return func(s *settings) error {
		s.level = level
		return nil
	}
}

// WithListen opens sockets with listen instead of [sockets.Listen]. Usually listen is the method of
// [sockets.Given], for a program that inherited its sockets. name is the name of an endpoint, or
// "$admin" or "$api"; address is "host:port", or "unix:" and a path. The listener must be a *net.TCPListener
// or a *net.UnixListener, because event loops read and write the sockets of its connections, and
// listeners are handed on to other processes.
func WithListen(listen func(name, address string) (net.Listener, error)) Option {
	return func(s *settings) error {
		if listen == nil {
			return errors.New("WithListen has no function")
		}
		s.program.Listen = func(name, address string) (net.Listener, error) {
			ln, err := listen(name, address)
			if err != nil {
				return nil, err
			}
			if err := bare(ln); err != nil {
				err = fmt.Errorf("the function of WithListen has returned %w", err)
				if ln != nil {
					err = errors.Join(err, ln.Close())
				}
				return nil, err
			}
			return ln, nil
		}
		return nil
	}
}

// gather applies the options.
func gather(cfg *config.Config, options []Option) (*settings, error) {
	s := &settings{
		program: assembly.Program{
			Version: Version(),
			Stores:  make(map[string]core.SessionStore), Keys: make(map[string]core.SessionKeys),
			Listen: func(_, address string) (net.Listener, error) { return sockets.Listen(address) },
		},
		begin: func() (end func()) { return func() {} },
		cfg:   cfg,
	}
	for i, o := range options {
		if o == nil {
			return nil, fmt.Errorf("option %d is nil", i)
		}
		if err := o(s); err != nil {
			return nil, err
		}
	}
	s.listenAtGiven()
	return s, nil
}

// setLevel sets the log level from the configuration.
func (s *settings) setLevel() {
	if s.level != nil {
		s.level.Set(s.cfg.Log.Level.Level())
	}
}

// each calls set for the named endpoints, or for all that have sessions.
func (s *settings) each(names []string, option string, set func(name string)) error {
	for i := range s.cfg.Endpoints {
		if ep := &s.cfg.Endpoints[i]; len(names) == 0 && ep.Needs().HasSessions() {
			set(ep.Name)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(s.cfg.Endpoints, func(ep config.Endpoint) bool { return ep.Name == name }) {
			return fmt.Errorf("%s names the endpoint %q, which the configuration does not have", option, name)
		}
		set(name)
	}
	return nil
}
