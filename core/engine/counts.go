package engine

// Counts are how many of each there are now.
type Counts struct {
	// Patterns are those of [Engine.Topics] that are patterns.
	Patterns int
	// Channels are the channels that connections here own, and Services those that they offer.
	// Services that many of them share are one.
	Channels, Services int
	// Sessions are those that have connections here.
	Sessions int
}

// offered is how much connections here offer: channels, services below these, and services that they
// share. Guarded by Engine.mu.
type offered struct{ channels, below, shared int }

// count counts n channels like c, if their owner is a connection here.
func (o *offered) count(c *channel, n int) {
	if c.owner.here() {
		o.channels += n
		o.below += n * c.names.size()
	}
}

// Counts counts without walking over what it counts. Any goroutine.
func (e *Engine) Counts() Counts {
	var c Counts
	e.mu.RLock()
	for _, t := range e.tries {
		c.Patterns += t.size
	}
	c.Channels, c.Services = e.offered.channels, e.offered.below+e.offered.shared
	e.mu.RUnlock()
	e.sessions.mu.Lock()
	c.Sessions = len(e.sessions.byKey)
	e.sessions.mu.Unlock()
	return c
}
