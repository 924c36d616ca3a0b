package network

import "github.com/polywire/polywire/core"

// beTapped begins a tap on the connection. The result is nil if there is one already. On the loop.
func (c *conn) beTapped(o core.TapOptions) *Tap {
	for other := c.tap; other != nil; other = other.next {
		if other.tap.conn != nil {
			return nil
		}
	}
	t := c.ep.server.newTap(c.ep, o)
	t.conn = c
	begun := t.admit(c.id)
	begun.next = c.tap
	c.tap = begun
	return t
}

// untap ends what the connection reports to a tap. On the loop.
func (c *conn) untap(t *Tap) {
	for at := &c.tap; *at != nil; at = &(*at).next {
		if (*at).tap == t {
			*at = (*at).next
			return
		}
	}
}

// Taps returns how many endpoints and connections are tapped, and how many events the taps have lost so far. Any
// goroutine.
func (s *Server) Taps() (open int, lost uint64) { return int(s.taps.Load()), s.tapLost.Load() }
