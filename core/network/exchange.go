package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/polywire/polywire/sockets"
)

// errDown says that a server opens no more endpoints.
var errDown = errors.New("the server is shutting down")

// Exchange closes the named endpoints and opens others. A new endpoint may have the name and
// address of a closed one: then the listener stays, and no client is refused in between. All
// other endpoints continue. Exchange listens first: after an error nothing has changed.
//
// A closed endpoint admits nobody; [Departure.Run] ends its connections.
func (s *Server) Exchange(closing []string, opening []Endpoint) (*Departure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		return nil, errDown
	}
	x := exchange{server: s, next: make(map[*door][]*endpoint)}
	for _, name := range closing {
		if ep := s.eps[name]; ep != nil {
			x.closing = append(x.closing, ep)
		}
	}
	for _, d := range s.doors {
		x.next[d] = slices.DeleteFunc(slices.Clone(*d.endpoints.Load()), x.closes)
	}
	for _, e := range opening {
		if err := x.open(e); err != nil {
			for _, d := range x.fresh {
				_ = d.listener.Close()
			}
			return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
		}
	}
	return x.carryOut(), nil
}

// exchange is an exchange that is being prepared. The server's mu is held.
type exchange struct {
	server  *Server
	closing []*endpoint
	next    map[*door][]*endpoint // the endpoints of each door afterwards
	fresh   []*door               // doors that are not open yet
}

func (x *exchange) closes(ep *endpoint) bool { return slices.Contains(x.closing, ep) }

// open adds an endpoint to its door, which is made if needed.
func (x *exchange) open(e Endpoint) error {
	d, err := x.doorOf(e)
	if err != nil {
		return err
	}
	p := e.Format.Profile()
	ep := &endpoint{Endpoint: e, server: x.server, door: d, profile: p, pingsCount: p.PingsCount, closeReply: p.CloseReply}
	ep.outlet.ep = ep
	ep.translation = newTranslation(ep)
	ep.settings.Store(newSettings(e.Settings, p))
	x.next[d] = append(x.next[d], ep)
	// The budget has room for every message that an endpoint admits.
	if least := &x.server.inbound.least; least.Load() < 2*int64(e.MaxMessage) {
		least.Store(2 * int64(e.MaxMessage))
	}
	return nil
}

// doorOf returns the door of an endpoint's address.
func (x *exchange) doorOf(e Endpoint) (*door, error) {
	old := x.doorAt(e)
	var ln net.Listener
	var err error
	switch {
	case old == nil:
		ln, err = x.server.options.Listen(e.Name, e.Listen)
	case old.tls == e.TLS && old.proxyProtocol == e.ProxyProtocol:
		return old, nil
	case len(x.next[old]) > 0:
		return nil, fmt.Errorf("another endpoint listens on %s with other TLS or PROXY protocol", e.Listen)
	default:
		// When the old door stops, the next one accepts the clients in its backlog.
		ln, err = sockets.Duplicate(old.listener)
	}
	if err != nil {
		return nil, err
	}
	d := newDoor(x.server, e.Listen, ln, e.TLS, e.ProxyProtocol)
	x.fresh = append(x.fresh, d)
	return d, nil
}

// doorAt returns the door that is at the address of e, if there is one. Port 0 is a new
// address for each name.
func (x *exchange) doorAt(e Endpoint) *door {
	if anyPort(e.Listen) {
		if ep := x.server.eps[e.Name]; ep != nil && ep.Listen == e.Listen && x.closes(ep) {
			return ep.door
		}
		return nil
	}
	at := func(d *door) bool { return d.listen == e.Listen }
	// A door that is not open yet may replace one that ends.
	if i := slices.IndexFunc(x.fresh, at); i >= 0 {
		return x.fresh[i]
	}
	if i := slices.IndexFunc(x.server.doors, at); i >= 0 {
		return x.server.doors[i]
	}
	return nil
}

// anyPort reports whether listening on an address gives a new port each time.
func anyPort(listen string) bool {
	_, port, err := net.SplitHostPort(listen)
	return err == nil && port == "0"
}

// carryOut puts the prepared exchange into effect.
func (x *exchange) carryOut() *Departure {
	s := x.server
	leaving := &Departure{server: s, endpoints: x.closing}
	for _, ep := range x.closing {
		delete(s.eps, ep.Name)
	}
	doors := append(slices.Clone(s.doors), x.fresh...)
	s.doors = nil
	for _, d := range doors {
		endpoints := x.next[d]
		for _, ep := range endpoints {
			if s.eps[ep.Name] != ep {
				ep.translation.begin()
			}
			s.eps[ep.Name] = ep
		}
		d.endpoints.Store(&endpoints)
		if len(endpoints) > 0 {
			s.doors = append(s.doors, d)
		} else {
			leaving.doors = append(leaving.doors, d)
		}
	}
	for _, ep := range x.closing {
		ep.closed.Store(true)
	}
	for _, d := range x.fresh {
		d.open()
	}
	for _, d := range leaving.doors {
		if err := d.stop(); err != nil {
			s.log.Warn("closing listener", "listen", d.listen, "error", err)
		}
	}
	return leaving
}

// Departure ends the endpoints that an Exchange has closed.
type Departure struct {
	server    *Server
	endpoints []*endpoint
	doors     []*door // those without endpoints
}

// Run says goodbye to the connections of the closed endpoints, to rate of them per second
// (0: to all at once), and faster if that would take longer than ctx allows. It returns when
// they are gone and plain HTTP requests are answered, or when ctx ends; clients that got their
// goodbye by then have 5 seconds to leave. It is called once.
func (d *Departure) Run(ctx context.Context, rate float64) error {
	errs := []error{
		d.server.sayGoodbyes(ctx, rate, func(c *conn) bool { return slices.Contains(d.endpoints, c.ep) }),
		d.gone(ctx),
	}
	for _, door := range d.doors {
		errs = append(errs, door.drain(ctx))
	}
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	for _, ep := range d.endpoints {
		ep.endTap("the endpoint was closed or reopened by a reload")
		if ep.open.Load() == 0 {
			ep.translation.end()
		}
	}
	return errors.Join(errs...)
}

// gone waits until no connection is left.
func (d *Departure) gone(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for _, ep := range d.endpoints {
		for ep.open.Load() > 0 {
			select {
			case <-ctx.Done():
				return fmt.Errorf("closing endpoint %s: %d connections left: %w", ep.Name, ep.open.Load(), ctx.Err())
			case <-ticker.C:
			}
		}
	}
	return nil
}
