package network

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// outlet is core.Outlet for one endpoint.
type outlet struct {
	// Static after construction.
	ep *endpoint

	// Atomic. stamps numbers the deliveries, so that a connection in several audiences of
	// one delivery gets it once.
	stamps atomic.Uint64
}

var _ core.WatchedOutlet = (*outlet)(nil)

func (o *outlet) NewAudience(loop int, _ uint32) core.Audience {
	return &audience{ep: o.ep, loop: o.ep.server.loopAt(loop)}
}

// Writable asks the format.
func (o *outlet) Writable(ev core.Event) error {
	_, err := o.ep.translation.writable(ev)
	return err
}

func (o *outlet) Deliver(ev core.Event, to []core.Audience, except core.Link) {
	o.DeliverWatched(ev, to, except, nil)
}

func (o *outlet) DeliverWatched(ev core.Event, to []core.Audience, except core.Link, by core.Crossing) {
	m := mail{stamp: o.stamps.Add(1)}
	m.except, _ = except.(*conn) // any other link is nobody's here
	o.ep.translation.deliver(m, ev, to, by)
}

// conflates reports whether newer messages of an address replace older ones.
func (ep *endpoint) conflates() bool { return ep.settings.Load().SlowConsumer == Conflate }

// markPublished makes f, which nobody else has yet, the frame of the Message ev. If keyed is
// set, a newer message of the address of ev may replace it.
func (ep *endpoint) markPublished(f *frame, ev core.Event, keyed bool) {
	f.purpose = published
	if keyed {
		f.setKey(ep.server.seed, ev)
	}
	if ev.Read != 0 {
		f.read, f.delays = ep.server.started.Add(ev.Read), &ep.Stats.Delays
	}
	f.charge(&ep.server.budget)
}

// audience is core.Audience.
type audience struct {
	// Static after construction.
	ep   *endpoint
	loop *loop

	// Owned by the loop.
	members []member

	// Atomic. size is len(members), for counting messages that are dropped before they reach
	// the loop.
	size atomic.Int32
}

// member is one connection of an audience.
type member struct {
	conn *conn
	at   *core.Member // the engine's handle, which holds the index of this entry
	// since is the mailbox position at which the connection joined: it does not get
	// earlier mail.
	since uint64
}

var _ core.Audience = (*audience)(nil)

// count counts a frame that went to n members.
func (a *audience) count(n int, f *frame) {
	a.ep.Stats.MessagesOut.Add(uint64(n))
	a.ep.Stats.BytesOut.Add(uint64(n * f.payload))
	a.ep.Stats.SizesOut.Observe(f.payload, n)
}

// dropAll counts a message that is dropped before it reaches the loop; f is nil if it
// could not be encoded.
func (a *audience) dropAll(f *frame, r core.Reason) {
	n := uint64(a.size.Load())
	a.ep.Stats.Dropped.Add(r, n)
	if f != nil {
		a.ep.Stats.DroppedBytes.Add(r, n*uint64(f.payload))
	}
}

func (a *audience) Add(l core.Link, m *core.Member) {
	m.Index = len(a.members)
	a.members = append(a.members, member{conn: l.(*conn), at: m, since: a.loop.mailbox.position()})
	a.size.Add(1)
}

func (a *audience) Remove(m *core.Member) {
	last := len(a.members) - 1
	moved := a.members[last]
	a.members[m.Index] = moved
	moved.at.Index = m.Index
	a.members[last] = member{}
	a.members = a.members[:last]
	if cap(a.members) > 64 && last < cap(a.members)/4 {
		a.members = append(make([]member, 0, cap(a.members)/2), a.members...)
	}
	a.size.Add(-1)
}
