package polywire

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/polywire/polywire/assembly"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/sockets"
)

// Option is what a program that embeds a broker gives to it besides the configuration.
type Option func(*settings) error

// settings are what the options say.
type settings struct {
	program assembly.Program
	source  func() (*config.Config, error)
	level   *slog.LevelVar
	begin   func() (end func()) // of WithReloading

	cfg *config.Config
}

// WithHooks has the broker tell h of connections and sessions. Of several the last one
// counts.
func WithHooks(h core.Hooks) Option {
	return func(s *settings) error {
		s.program.Hooks = h
		return nil
	}
}

// WithSessions keeps sessions in store instead of where the configuration says: those of
// the endpoints that are named, or of all endpoints that have sessions if none is. Of
// several for one endpoint the last one counts. An endpoint that is named has sessions
// whatever its protocol; in formats without words for them they are a matter of Go
// handlers alone.
func WithSessions(store core.SessionStore, endpoints ...string) Option {
	return func(s *settings) error {
		return s.each(endpoints, "WithSessions", func(name string) { s.program.Stores[name] = store })
	}
}

// WithSessionKeys makes the keys of new sessions with keys, for the same endpoints as
// with WithSessions.
func WithSessionKeys(keys core.SessionKeys, endpoints ...string) Option {
	return func(s *settings) error {
		return s.each(endpoints, "WithSessionKeys", func(name string) { s.program.Keys[name] = keys })
	}
}

// WithSource tells where the configuration comes from: load returns that of now, as
// [config.Load] does. It is for Broker.Reread and for POST /reload of the admin server.
func WithSource(load func() (*config.Config, error)) Option {
	return func(s *settings) error {
		s.source = load
		return nil
	}
}

// WithReloading has begin called when the broker begins to take another configuration, by
// Reload, Reread or POST /reload of the admin server, and the function that it returns when
// that is over, whether the configuration was taken or not. They may block, which delays the
// reload, and must not reload themselves.
func WithReloading(begin func() (end func())) Option {
	return func(s *settings) error {
		if begin == nil {
			return errors.New("WithReloading has no function")
		}
		s.begin = begin
		return nil
	}
}

// WithLogLevel has the broker set the level of the log as the configuration says, at first
// and when it is reloaded.
func WithLogLevel(level *slog.LevelVar) Option {
	return func(s *settings) error {
		s.level = level
		return nil
	}
}

// WithListen opens sockets with listen instead of [sockets.Listen]; mostly that is the
// method of [sockets.Given], for a program that was given its sockets. name is that of an
// endpoint, or "$admin"; address is "host:port", or "unix:" and a path. The listener is a
// *net.TCPListener or a *net.UnixListener, as the sockets of its connections are read and written
// by event loops, and handed on to other processes.
func WithListen(listen func(name, address string) (net.Listener, error)) Option {
	return func(s *settings) error {
		if listen == nil {
			return errors.New("WithListen has no function")
		}
		s.program.Listen = func(name, address string) (net.Listener, error) { return bareListener(listen(name, address)) }
		return nil
	}
}

// bareListener returns ln if it is one that can be used.
func bareListener(ln net.Listener, err error) (net.Listener, error) {
	if err != nil {
		return nil, err
	}
	switch ln.(type) {
	case *net.TCPListener, *net.UnixListener:
		return ln, nil
	case nil:
		return nil, errors.New("the function of WithListen has returned no listener")
	}
	return nil, errors.Join(fmt.Errorf("the function of WithListen has returned a %T; it must be a *net.TCPListener or a *net.UnixListener", ln), ln.Close())
}

// gather returns what the options say.
func gather(cfg *config.Config, options []Option) (*settings, error) {
	s := &settings{
		program: assembly.Program{
			Stores: make(map[string]core.SessionStore), Keys: make(map[string]core.SessionKeys),
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
	return s, nil
}

// setLevel gives the log the level of the configuration.
func (s *settings) setLevel() {
	if s.level != nil {
		s.level.Set(s.cfg.Log.Level.Level())
	}
}

// each calls set for the endpoints that are named, or all that have sessions.
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
