package engine

import (
	"context"

	"github.com/polywire/polywire/core"
)

// Hear makes h hear what is published on match, a topic or a pattern, named as for Handle;
// nil ends that. It is told, in an Invocation that is OneWay and whose Service is the topic,
// when the message has gone out to those who hear it, and only if the publish was not
// refused; its answer is ignored. One handler hears a message: it is chosen as with Handle,
// and has the interceptors of Use around it.
//
// It runs on a goroutine; a connection reads no further message until it has returned. So
// the messages of a connection are heard one after the other and before what follows them,
// and there is one such goroutine for a connection at most. What a Publisher publishes, who
// is no connection, is heard before its Publish returns: Connection is 0, and Caller is
// nobody. 256 of these are heard by a handler at once; a further one fails with Overloaded
// and is not published. Any goroutine.
func (e *Engine) Hear(match string, h core.Handler) {
	e.warnOf(match, h)
	e.handlers.set(&e.handlers.listeners, match, h, maxRunning)
}

// notify tells h what the connection has published.
func (p *peer) notify(c *core.Command, h *registered) {
	in := p.invocation(&core.Command{Topic: c.Topic, Payload: c.Payload, OneWay: true}, serviceOf(c, h.match))
	p.engine.running.Add(1)
	p.offLoop(func(ctx context.Context, resume func(func()) bool) {
		in.Caller = handlerCaller{peer: p, ctx: ctx}
		err := errExited
		// Deferred, because a handler may end its goroutine (runtime.Goexit).
		defer func() {
			if err != nil {
				p.engine.handlerFailed(in, err)
			}
			p.engine.running.Add(-1)
			resume(func() {})
		}()
		_, err = p.engine.run(ctx, h.handler, in)
	})
}

// notify tells h what was published in the name of ep by nobody.
func (e *Engine) notify(ep *core.Endpoint, topic []byte, payload core.Payload, h *registered) {
	in := core.Invocation{
		Service: string(topic), Payload: payload.Clone(), OneWay: true,
		Endpoint: ep.Name, Protocol: ep.Protocol, Caller: nobody{},
	}
	e.running.Add(1)
	defer e.running.Add(-1)
	err := errExited
	// On a goroutine that h may end.
	e.contain(func() { _, err = e.run(e.ctx, h.handler, in) }, func(any) {})
	if err != nil {
		e.handlerFailed(in, err)
	}
}
