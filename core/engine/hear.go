package engine

import (
	"context"

	"github.com/polywire/polywire/core"
)

// Hear makes h hear what connections publish on match, a topic or a pattern, named as
// for Handle; nil ends that. It is told, in an Invocation that is OneWay and whose
// Service is the topic, when the message has gone out to those who hear it, and only
// if the publish was not refused; its answer is ignored. One handler hears a message:
// it is chosen as with Handle, and has the interceptors of Use around it.
//
// It runs on a goroutine; the connection reads no further message until it has
// returned. So the messages of a connection are heard one after the other and before
// what follows them, and there is one such goroutine for a connection at most. Any
// goroutine.
func (e *Engine) Hear(match string, h core.Handler) {
	// Each connection waits for its own: places are not needed.
	e.handlers.set(&e.handlers.ears, match, h, 0)
}

// overhear tells h what the connection has published.
func (p *peer) overhear(c *core.Command, h *registered) {
	in := p.invocation(&core.Command{Topic: c.Topic, Payload: c.Payload, OneWay: true}, h.match)
	p.engine.running.Add(1)
	p.away(func(ctx context.Context, back func(func()) bool) {
		in.Caller = caller{peer: p, ctx: ctx}
		err := error(errExited)
		// Deferred, because a handler may end its goroutine (runtime.Goexit).
		defer func() {
			if err != nil {
				p.engine.handlerFailed(in.Endpoint, p.link, in.Service, err)
			}
			p.engine.running.Add(-1)
			back(func() {})
		}()
		_, err = p.engine.run(ctx, h.handler, in)
	})
}
