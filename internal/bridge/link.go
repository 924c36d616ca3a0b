package bridge

import (
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// A bridge is the one link of an endpoint of its own, and its outlet.
var (
	_ core.Link   = (*Bridge)(nil)
	_ core.Outlet = (*Bridge)(nil)
)

// ID returns the number of the connection.
func (b *Bridge) ID() uint64 { return b.o.ID }

// Endpoint returns the bridge's endpoint.
func (b *Bridge) Endpoint() *core.Endpoint { return b.o.Endpoint }

// Identity returns nobody: the access list of a bridge is for all that it says.
func (b *Bridge) Identity() *core.Identity { return nil }

// Outlet returns the bridge.
func (b *Bridge) Outlet() core.Outlet { return b }

// Trace returns nothing.
func (b *Bridge) Trace() core.Trace { return core.Trace{} }

// Remote returns the URL of the old server.
func (b *Bridge) Remote() string { return b.o.Server.URL }

// Info returns nil.
func (b *Bridge) Info() any { return nil }

// OpenedAt returns when the bridge was started.
func (b *Bridge) OpenedAt() time.Time { return b.opened }

// Loop returns 0: the bridge has one loop, and its endpoint one link.
func (b *Bridge) Loop() int { return 0 }

// Tell says an event to the old server.
func (b *Bridge) Tell(ev core.Event) { b.say(ev) }

// Send says an event to the old server.
func (b *Bridge) Send(ev core.Event) { b.say(ev) }

// Hold ceases to handle what the old server says.
func (b *Bridge) Hold() { b.loop.held++ }

// Release ends Hold.
func (b *Bridge) Release() { b.loop.held-- }

// Admits reports true: what is too much for the old server waits in the client's queue, and fails
// beyond it.
func (b *Bridge) Admits(int) bool { return true }

// Post runs f on the loop.
func (b *Bridge) Post(f func()) { b.loop.post(f) }

// Later runs f on the loop.
func (b *Bridge) Later(f func()) { b.loop.post(f) }

// Close does nothing: what ends a bridge is the configuration.
func (b *Bridge) Close(core.Reason) {}

// Writable returns nil: what the format has no words for is found when it is said.
func (b *Bridge) Writable(core.Event) error { return nil }

// NewAudience returns an audience that the bridge can be in.
func (b *Bridge) NewAudience(int, uint32) core.Audience { return &audience{bridge: b} }

// Deliver says a message to the old server, unless it has come from there.
func (b *Bridge) Deliver(ev core.Event, to []core.Audience, except core.Link) {
	if except == core.Link(b) {
		return
	}
	for _, one := range to {
		if a, ok := one.(*audience); ok && a.bridge == b && a.members.Load() > 0 {
			b.say(ev)
			return
		}
	}
}

// audience is an address that the bridge hears, or not.
type audience struct {
	bridge  *Bridge      // static
	members atomic.Int64 // written on the loop
}

// Add makes the bridge hear the address.
func (a *audience) Add(core.Link, *core.Member) { a.members.Add(1) }

// Remove ends Add.
func (a *audience) Remove(*core.Member) { a.members.Add(-1) }
