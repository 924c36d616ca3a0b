package polywire

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/polywire/polywire/config"
)

// WithListener serves an endpoint at a listener that the program has opened, instead of at the address in the
// configuration, and with it the endpoints of the same address, unless that leaves the port to the system. The
// name "$admin" is that of the admin server. ln must be a *net.TCPListener or a *net.UnixListener, as for
// [WithListen]; TLS is set in the configuration.
//
// The broker owns ln once New has returned without an error: it is closed when Run ends, or by Close. A reload
// cannot change the endpoint's address.
func WithListener(endpoint string, ln net.Listener) Option {
	one := &givenListener{endpoint: endpoint, listener: ln}
	return func(s *settings) error {
		if err := bare(ln); err != nil {
			return fmt.Errorf("WithListener for %q was given %w", endpoint, err)
		}
		switch {
		case slices.ContainsFunc(s.given, func(other *givenListener) bool { return other.endpoint == endpoint }):
			return fmt.Errorf("WithListener is given twice for %q", endpoint)
		case endpoint == adminSocket && s.cfg.Admin.Listen == "":
			return errors.New("WithListener is for the admin server, which the configuration turns off")
		case endpoint != adminSocket && s.address(endpoint) == "":
			return fmt.Errorf("WithListener names the endpoint %q, which the configuration does not have", endpoint)
		}
		s.given = append(s.given, one)
		return nil
	}
}

// givenListener is a listener that the program has opened.
type givenListener struct {
	// Static after construction.
	endpoint string
	listener net.Listener

	// Atomic.
	used atomic.Bool
}

// address returns the configured address of an endpoint; "" if there is none.
func (s *settings) address(endpoint string) string {
	i := slices.IndexFunc(s.cfg.Endpoints, func(ep config.Endpoint) bool { return ep.Name == endpoint })
	if i < 0 {
		return ""
	}
	return s.cfg.Endpoints[i].Listen
}

// listenAtGiven makes the broker listen at the listeners that the program has opened.
func (s *settings) listenAtGiven() {
	otherwise := s.program.Listen
	s.program.Listen = func(name, address string) (net.Listener, error) {
		i := slices.IndexFunc(s.given, func(one *givenListener) bool {
			return one.endpoint == name || name != adminSocket && s.address(one.endpoint) == address && !strings.HasSuffix(address, ":0")
		})
		if i < 0 {
			return otherwise(name, address)
		}
		if s.given[i].used.Swap(true) {
			return nil, fmt.Errorf("the endpoint %q is served at a listener that the program has opened, and has no other address", s.given[i].endpoint)
		}
		return s.given[i].listener, nil
	}
}

// bare returns what ln is, if it is no listener whose connections event loops can serve.
func bare(ln net.Listener) error {
	switch ln := ln.(type) {
	case nil:
		return errors.New("no listener")
	case *net.TCPListener, *net.UnixListener:
		return nil
	default:
		return fmt.Errorf("a %T; it must be a *net.TCPListener or a *net.UnixListener", ln)
	}
}
