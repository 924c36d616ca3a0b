package engine

import (
	"context"

	"github.com/polywire/polywire/core"
)

// permitted reports whether the endpoint's Access allows c. As with authorize,
// topic-borne commands are judged as what they stand for.
func (p *peer) permitted(c *core.Command) bool {
	if c.Verb == core.Subscribe && p.engine.isSys(c.Topic) {
		return p.mayHearSys(c)
	}
	access := p.endpoint.Access
	if access == nil {
		return true
	}
	by := p.link.Identity()
	if len(c.Topic) > 0 && c.Topic[0] == '$' {
		c = fromTopic(c, new(core.Command))
	}
	switch c.Verb {
	case core.Publish:
		return access.May(by, core.MayPublish, c.Topic, false)
	case core.Subscribe:
		return access.May(by, core.MaySubscribe, c.Topic, c.Pattern)
	case core.Call:
		return access.May(by, core.MayCall, c.Topic, false)
	case core.Offer:
		if c.Exclusive && !access.May(by, core.MayServe, c.Channel, false) {
			return false
		}
		var whole []byte
		for _, service := range c.Services {
			whole = c.AppendService(whole[:0], service)
			if !access.May(by, core.MayServe, whole, false) {
				return false
			}
		}
	}
	return true
}

// mayPublishOwned reports whether the client may publish into channels of others. It
// may be asked of nil, which is no connection.
func (p *peer) mayPublishOwned(topic []byte) bool {
	return p != nil && p.endpoint.Access != nil &&
		p.endpoint.Access.May(p.link.Identity(), core.MayPublishOwned, topic, false)
}

// authorize asks the endpoint's authorizer about c and does what it says. Topic-borne
// calls, replies and offers are judged as what they stand for.
func (p *peer) authorize(c *core.Command) {
	kept := c.Clone()
	p.offLoop(func(ctx context.Context, resume func(func()) bool) {
		verdict := p.endpoint.Authorizer.AuthorizeCommand(ctx, p.link.Identity(), *fromTopic(&kept, new(core.Command)))
		resume(func() {
			switch verdict {
			case core.Allow:
				p.carryOut(&kept)
			case core.Unavailable:
				p.close(core.ReasonUnavailable)
			default:
				p.deny(&kept)
			}
		})
	})
}
