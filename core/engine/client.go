package engine

import (
	"context"

	"github.com/polywire/polywire/core"
)

// clientPeer is core.ClientPeer. Off the loops, once the peer is watched: where
// applications come by a client, it is.
type clientPeer struct{ peer *peer }

var _ core.ClientPeer = clientPeer{}

// client returns the connection as the application knows it.
func (p *peer) client() core.Client { return core.NewClient(p.link, clientPeer{p}) }

// Left is closed when the connection has ended.
func (c clientPeer) Left() <-chan struct{} { return c.peer.left }

// Close ends the connection: of what comes later nothing is done.
func (c clientPeer) Close(r core.Reason) { c.peer.link.Post(func() { c.peer.close(r) }) }

// Session returns the session of the connection.
func (c clientPeer) Session() (core.Session, bool) {
	if s := c.peer.session.Load(); s != nil {
		return *s, true
	}
	return core.Session{}, false
}

// OpenSession makes a session and gives it to the connection.
func (c clientPeer) OpenSession(info []byte) (core.Session, error) {
	ctx, cancel := c.peer.contextUntilLeft()
	defer cancel()
	return c.peer.openFor(ctx, info, refusedLeft)
}

// CloseSession ends the session of the connection.
func (c clientPeer) CloseSession() error {
	ctx, cancel := c.peer.contextUntilLeft()
	defer cancel()
	return c.peer.closeFor(ctx, refusedLeft)
}

// contextUntilLeft returns a context that ends with the connection, and with the engine.
// cancel is called when it is of no use any more.
func (p *peer) contextUntilLeft() (ctx context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(p.engine.ctx)
	select {
	case <-p.left:
		cancel()
		return ctx, cancel
	default:
	}
	go func() {
		select {
		case <-p.left:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
