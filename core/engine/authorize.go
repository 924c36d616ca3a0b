package engine

import (
	"context"

	"github.com/polywire/polywire/core"
)

// authorize asks the endpoint's authorizer about c and does what it says. It is the
// one place where commands are authorised. Topic-borne calls, replies and offers are
// judged as what they stand for.
func (p *peer) authorize(c core.Command) {
	c = c.Clone()
	p.away(func(ctx context.Context, back func(func()) bool) {
		verdict := p.endpoint.Authorizer.AuthorizeCommand(ctx, meant(c))
		back(func() {
			switch verdict {
			case core.Allow:
				p.carryOut(c)
			case core.Unavailable:
				p.close(core.ReasonUnavailable)
			default:
				p.deny(c)
			}
		})
	})
}
