package network

import (
	"fmt"
	"slices"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// Settings are what may change about an endpoint while it serves. They are immutable;
// Server.Apply replaces them.
type Settings struct {
	// OutboundLimit bounds the bytes queued for one client; SlowConsumer says what
	// happens to a client that does not read fast enough. One message is always accepted.
	OutboundLimit int
	SlowConsumer  SlowConsumer
	// PingInterval, PongTimeout and IdleTimeout are as in core.Profile.
	PingInterval, PongTimeout, IdleTimeout time.Duration
	// Origins lists the origins whose pages may connect, as originMatches reads them;
	// nil is the format's default. A request without Origin is not from a page and may always
	// connect.
	Origins []string
	// Health is the path at which plain GET and HEAD requests are answered with 200 when
	// new clients are welcome, or with 503; "" is none.
	Health string
	// TokenProtocols are the names with which clients announce tokens in their offered
	// subprotocols (core.ProtocolToken). A token is never sent back; the name may be.
	TokenProtocols []string
}

// settings are Settings with the fields that the loops read most. Static after construction.
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

// Apply replaces the settings of an endpoint: at once for new clients, and for connected
// ones at the next turns of their loops. It fails if there is no such endpoint.
func (s *Server) Apply(endpoint string, next Settings) error {
	s.mu.Lock()
	ep := s.eps[endpoint]
	s.mu.Unlock()
	if ep == nil {
		return fmt.Errorf("applying settings: there is no endpoint %q", endpoint)
	}
	// New connections take them from here on; the open ones are told.
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

// adopt makes the connection use the endpoint's current settings. A timeout that changes
// counts from now: no client is late by a rule that did not exist.
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
	// The timer then finds out what is due and when to check again.
	c.loop.wheel.Set(c, now+1)
	c.unchoke()
}
