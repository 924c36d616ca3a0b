package network

import (
	"fmt"
	"slices"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// Settings are what may change about an endpoint while it serves. They are not changed
// after they were made; Server.Apply puts others in force.
type Settings struct {
	// OutboundLimit bounds the bytes queued for one client; SlowConsumer says what
	// happens to who does not read fast enough. One message is always taken.
	OutboundLimit int
	SlowConsumer  SlowConsumer
	// PingInterval, PongTimeout and IdleTimeout are as in core.Profile.
	PingInterval, PongTimeout, IdleTimeout time.Duration
	// Origins lists the origins whose pages may connect, as originMatches reads them;
	// nil is the format's default. A request without Origin is no page and may always connect.
	Origins []string
	// Health is the path at which plain GET and HEAD requests are answered with 200 when
	// new clients are welcome, or with 503; "" is none.
	Health string
	// TokenProtocols are the names by which clients show tokens among the subprotocols
	// that they offer (core.ProtocolToken). A token is never answered; the name may be.
	TokenProtocols []string
}

// settings are Settings with what the loops look at most. Static after construction.
type settings struct {
	Settings
	idleTicks, pongTicks, pingTicks, idleCheck uint32
}

func newSettings(s Settings, p core.Profile) *settings {
	s.Origins = slices.Clone(s.Origins)
	for i, origin := range s.Origins {
		s.Origins[i] = core.NormalOrigin(origin)
	}
	return &settings{
		Settings:  s,
		idleTicks: timers.Ticks(s.IdleTimeout), pongTicks: timers.Ticks(s.PongTimeout), pingTicks: timers.Ticks(s.PingInterval),
		idleCheck: timers.Ticks(min(p.IdleCheck, s.IdleTimeout)),
	}
}

// Apply puts other settings of an endpoint in force: at once for the clients that come,
// and for those that are connected at the next turns of their loops. The error is that
// there is no such endpoint.
func (s *Server) Apply(endpoint string, next Settings) error {
	s.mu.Lock()
	ep := s.eps[endpoint]
	s.mu.Unlock()
	if ep == nil {
		return fmt.Errorf("applying settings: there is no endpoint %q", endpoint)
	}
	// Whoever opens from here on has them; the others are told.
	ep.settings.Store(newSettings(next, ep.profile))
	for _, l := range s.loopList() {
		l.post(mail{fn: func() {
			for c := range l.conns {
				if c.ep == ep {
					c.Post(c.adopt)
				}
			}
		}})
	}
	return nil
}

// adopt makes the connection go by the endpoint's settings of now. A time that changes
// is counted from now on: nobody is late by a rule that was not there.
func (c *conn) adopt() {
	old, next := c.settings, c.ep.settings.Load()
	c.settings = next
	switch {
	case next.SlowConsumer != Conflate:
		c.out.newest = nil
	case c.out.list == stuck:
		c.out.conflate()
	}
	if !c.isOpen() {
		return
	}
	now := c.loop.ticks.Load()
	if old.idleTicks != next.idleTicks {
		c.lastMessage = now
	}
	if old.pingTicks != next.pingTicks || old.pongTicks != next.pongTicks {
		c.lastPong = now
		if next.pingTicks > 0 {
			// Not all connections at once.
			c.nextPing = now + 1 + uint32(c.id%uint64(next.pingTicks))
		}
	}
	// What is due then, and when to look again, is found out there.
	c.loop.wheel.Set(c, now+1)
	c.unchoke()
}
