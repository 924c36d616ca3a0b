package engine

import (
	"context"
	"errors"
	"time"

	"github.com/polywire/polywire/core"
)

// leadPause is how often a node looks whether it can lead what no node leads.
const leadPause = 200 * time.Millisecond

// ErrLeadLost is the cause of the end of the context of f in Lead when another node may lead.
var ErrLeadLost = errors.New("this node leads no longer: the other nodes could not be reached for so long")

// Lead runs f on one node of the cluster at a time, of all those that call it with name, which no client
// can have for a channel: it is reserved (core.Reserved). f returns when its context ends: with ctx, or with the cause
// [ErrLeadLost] when this node has lost its lease; it runs again when this node has the name again. Lead
// returns when ctx has ended and f has returned. An engine that is alone runs f at once. Not on an event
// loop.
func (e *Engine) Lead(ctx context.Context, name string, f func(ctx context.Context)) {
	if e.backplane == nil {
		f(ctx)
		return
	}
	for ctx.Err() == nil {
		if !e.leadOnce(ctx, name, f) {
			select {
			case <-ctx.Done():
			case <-time.After(leadPause):
			}
		}
	}
}

// leadOnce runs f once, and reports whether it has: the cluster has given name to this node.
func (e *Engine) leadOnce(ctx context.Context, name string, f func(ctx context.Context)) bool {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c := &channel{owner: &term{end}, name: name}
	if !e.begins(ctx, c) {
		return false
	}
	f(ctx)
	e.freeChannel(c)
	return true
}

// begins reports whether the cluster has given c to this node.
func (e *Engine) begins(ctx context.Context, c *channel) bool {
	if e.mayOwn(c).Failed() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	return !e.backplane.Claim(ctx, claimOf(c), func() core.Failure { return e.addChannel(c).Failure }).Failed()
}

// Leader returns which other node leads name; ok is false if none is known, or this one does. Any goroutine.
func (e *Engine) Leader(name string) (n core.NodeID, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	other, ok := e.ownerOf(name).(*node)
	if !ok {
		return "", false
	}
	return other.id, true
}

// Leads reports whether f of Lead, which was called with ctx, still leads. A node that has stood still
// learns by it that its time is over before anything else tells it. It costs little more than reading the
// clock. Any goroutine.
func (e *Engine) Leads(ctx context.Context) bool {
	// In this order: when the node has a lease anew, the context has ended before.
	return (e.backplane == nil || e.backplane.Holds()) && ctx.Err() == nil
}

// term is the time in which this node leads something: the owner of its name, of which nobody is asked
// anything.
type term struct {
	end context.CancelCauseFunc
}

var _ owner = (*term)(nil)

// lostChannel ends the term, before the node can have another one.
func (t *term) lostChannel(*channel, core.Failure) { t.end(ErrLeadLost) }

func (t *term) lostOffer(*offer, core.Failure) {}
func (t *term) here() bool                     { return true }
func (t *term) admits(int) bool                { return false }
func (t *term) ask(question)                   {}
func (t *term) callParty() *party              { return nil }
func (t *term) callOver(*call)                 {}
