package polywire

import (
	"context"
	"fmt"
	"iter"
	"net/netip"

	"github.com/polywire/polywire/core"
)

// ClientFilter says which clients are meant: those that fit all of its fields. The zero value means all.
type ClientFilter struct {
	// Endpoint and Protocol are labels of the client's endpoint, and User is whom it has authenticated as; "" is
	// any.
	Endpoint, Protocol, User string
	// From are the addresses of clients; the zero Prefix is any.
	From netip.Prefix
	// Topic is a topic, with the prefix of an endpoint if it has one, that the client hears, by its name or by a
	// pattern; "" is any.
	Topic string
}

// Clients lists the connected clients of this broker that are meant, in no order; those that come or leave
// meanwhile may be missing. The error, with which the list ends, is that of ctx, that the broker does not run, or
// that it has no such endpoint.
//
// All clients are looked at, whatever the filter. The event loops do that between their work, some hundred
// clients in a turn, without a lock that messages need; a loop is not held up while the caller looks at what it
// got. It must not be called by hooks that loops wait for; handlers may.
func (b *Broker) Clients(ctx context.Context, f ClientFilter) iter.Seq2[core.ConnectionInfo, error] {
	return func(yield func(core.ConnectionInfo, error) bool) {
		err := b.life.running()
		if err == nil && f.Endpoint != "" && b.parts.Endpoint(f.Endpoint) == nil {
			err = fmt.Errorf("there is no endpoint %q", f.Endpoint)
		}
		if err == nil {
			err = ctx.Err() // the loops may answer all the same
		}
		enough := false
		if err == nil {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			err = b.parts.Network.List(ctx, f.Topic, func(one core.ConnectionInfo) {
				if !enough && f.means(one) && !yield(one, nil) {
					enough = true
					cancel()
				}
			})
		}
		if err != nil && !enough {
			yield(core.ConnectionInfo{}, fmt.Errorf("listing clients: %w", err))
		}
	}
}

// means reports whether a client is meant, as far as Topic does not decide it.
func (f ClientFilter) means(one core.ConnectionInfo) bool {
	is := func(wanted, has string) bool { return wanted == "" || wanted == has }
	if !is(f.Endpoint, one.Endpoint) || !is(f.Protocol, one.Protocol) || !is(f.User, one.User) {
		return false
	}
	if !f.From.IsValid() {
		return true
	}
	at, err := netip.ParseAddrPort(one.Remote)
	return err == nil && f.From.Contains(at.Addr().Unmap())
}

// Client returns a connected client by the number of its connection, and what it hears, offers and owns. The error
// is [core.ErrNoConnection] if it has left, that of ctx, or that the broker does not run. It looks for the client
// as Clients does.
func (b *Broker) Client(ctx context.Context, id uint64) (core.ConnectionInfo, core.Holdings, error) {
	if err := b.life.running(); err != nil {
		return core.ConnectionInfo{}, core.Holdings{}, fmt.Errorf("looking for client %d: %w", id, err)
	}
	one, has, err := b.parts.Network.Find(ctx, id)
	if err != nil {
		return one, has, fmt.Errorf("looking for client %d: %w", id, err)
	}
	return one, has, nil
}

// CloseClient ends the connection of a client by its number, after what is queued for it, with the goodbye that the
// client's format has for r, which is also the reason in metrics, in the log and of ClosedClients. An unknown
// reason counts as ReasonInternal. The errors are those of Client.
func (b *Broker) CloseClient(ctx context.Context, id uint64, r core.Reason) error {
	if r >= core.NumReasons {
		r = core.ReasonInternal
	}
	err := b.life.running()
	if err == nil {
		_, err = b.parts.Network.End(ctx, id, r)
	}
	if err != nil {
		return fmt.Errorf("closing client %d: %w", id, err)
	}
	return nil
}

// ClosedClients returns the connections that have ended last, and why, the last one first: up to a thousand. The
// slice is the caller's.
func (b *Broker) ClosedClients() []core.ClosedConnection { return b.parts.Engine.Closed() }
