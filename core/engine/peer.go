package engine

import (
	"context"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// peer is core.Peer: what the engine keeps of one connection. There are many, and
// most are idle: what only some need lies behind pointers.
type peer struct {
	// Static after construction.
	engine   *Engine
	link     core.Link
	endpoint *endpoint
	visit    *visit // nil without hooks

	// Owned by the loop.
	subscriptions []*subscription
	index         map[subscriptionKey]int // into subscriptions; nil while there are few
	weight        int                     // of the addresses in subscriptions
	rare          *rare                   // made by ensureRare
	running       int                     // calls that count for CallsAtOnce
	full          bool                    // they are as many as may be: the connection is held
	gone          bool
	leaving       bool // the connection is being closed; commands are not looked at

	// Static once made by watch; closed by Gone.
	left chan struct{}

	// Atomic. Written on the loop. The session is not changed.
	session atomic.Pointer[core.Session] // nil without

	party party // guarded by callTable.mu
}

// rare is what few peers need. Owned by the loop.
type rare struct {
	patterns  *patterns           // nil without
	channels  map[string]*channel // owned channels
	offers    map[string]*offer   // shared offers, by service
	exclusive int                 // how many services are in channels
	weight    int                 // of the names in channels and offers

	joining string           // key of the session that is being restored
	refused *refusedCommands // nil without

	cancel  context.CancelFunc // not nil while something runs off the loop
	pending []core.Command     // what came meanwhile
}

var _ core.Peer = (*peer)(nil)

// ensureRare returns p.rare, made if need be.
func (p *peer) ensureRare() *rare {
	if p.rare == nil {
		p.rare = new(rare)
	}
	return p.rare
}

// sessionKey returns the key of the session, empty without one. Any goroutine.
func (p *peer) sessionKey() string {
	if s := p.session.Load(); s != nil {
		return s.Key
	}
	return ""
}

// Do carries out one command, if it is allowed. A command that comes while another one is
// worked on off the loop is pending until that is done; as the connection is held then,
// these are only the commands of one client message. Commands are big, so the rest of the engine has them by
// pointer: none of it changes one, or keeps one that it has not cloned.
func (p *peer) Do(command core.Command) {
	c := &command
	switch {
	case p.gone || p.leaving:
	case p.rare != nil && p.rare.cancel != nil:
		p.rare.pending = append(p.rare.pending, c.Clone())
	case isVast(c):
		p.refuse(c, refusedTooMany)
	case !p.permitted(c):
		p.deny(c)
	case p.endpoint.Authorizer == nil || c.Verb == core.Ping || c.Verb == core.Leave:
		p.carryOut(c)
	default:
		p.authorize(c)
	}
}

// carryOut carries out a command that is allowed.
func (p *peer) carryOut(c *core.Command) {
	switch c.Verb {
	case core.None:
	case core.Subscribe:
		p.subscribe(c)
	case core.Unsubscribe:
		p.unsubscribe(c)
	case core.UnsubscribeAll:
		p.unsubscribeAll(c)
	case core.Publish:
		p.publish(c)
	case core.Offer:
		p.offer(c, c, false)
	case core.Withdraw:
		p.withdraw(c)
		p.tellDone(c)
	case core.Call:
		p.call(c)
	case core.Reply:
		p.conclude(c, p.reply(c))
	case core.OpenSession:
		p.openSession(c)
	case core.RestoreSession:
		p.restoreSession(c)
	case core.CloseSession:
		p.closeSession(c)
	case core.Ping:
		p.link.Tell(core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As})
	case core.Leave:
		p.close(core.ReasonNormal)
	default:
		p.refuse(c, refusedUnknownVerb)
	}
}

// Leaving frees what others may want to have: channels, services, a place in a session.
func (p *peer) Leaving() {
	p.leaving = true
	if p.rare != nil {
		p.withdrawAll()
	}
	p.leaveSessions()
}

// Gone takes the connection out of everything.
func (p *peer) Gone(r core.Reason) {
	p.Leaving()
	p.gone = true
	if p.left != nil {
		close(p.left)
	}
	p.leaveAll()
	if x := p.rare; x != nil {
		if x.cancel != nil {
			x.cancel()
		}
		p.rare = nil
	}
	p.leaveCalls()
	p.engine.delist(p.endpoint)
	p.noteLeft(r)
	p.engine.closed.add(core.ClosedConnection{
		ID: p.link.ID(), Endpoint: p.endpoint.Name, Protocol: p.endpoint.Protocol, Remote: p.link.Remote(), User: p.link.Identity().User(),
		Opened: p.link.OpenedAt(), Closed: p.engine.now(), Reason: r,
	})
	p.callDisconnected(r)
}

// close ends the connection; commands behind this one are not looked at.
func (p *peer) close(r core.Reason) {
	p.leaving = true
	p.link.Close(r)
}

// Refused notes what the connection's codec has refused.
func (p *peer) Refused(r core.Reason, f core.Failure) {
	p.noteRefused(core.None, nil, refusal{f, r})
}

// tellDone tells that c succeeded.
func (p *peer) tellDone(c *core.Command) {
	p.link.Tell(core.Event{Kind: core.Done, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As})
}

// tellFailed tells that c did not succeed.
func (p *peer) tellFailed(c *core.Command, r refusal) {
	p.noteRefused(c.Verb, c.Topic, r)
	p.link.Tell(core.Event{Kind: core.Failed, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As, Failure: r.Failure})
}

// conclude tells what came of c.
func (p *peer) conclude(c *core.Command, r refusal) {
	if r.Failed() {
		p.refuse(c, r)
		return
	}
	p.tellDone(c)
}

// refuse counts and tells that c is refused.
func (p *peer) refuse(c *core.Command, r refusal) {
	p.endpoint.Stats.Refused.Inc(r.reason)
	p.tellFailed(c, r)
}

// whole returns the whole address of what the client calls name.
func (p *peer) whole(name []byte) string {
	return p.endpoint.TopicPrefix + string(name)
}
