package engine

import (
	"context"

	"github.com/polywire/polywire/core"
)

// Hear makes h hear what is published on match, a topic or a pattern, named as for Handle;
// nil ends that. h is called when the message has been delivered to its subscribers, and
// only if the publish was not refused. Its Invocation is OneWay and has the topic as Service;
// its answer is ignored. One handler hears a message: it is chosen as with Handle, and has
// the interceptors of Use around it.
//
// h runs on a goroutine, and the connection reads no further message until h has returned.
// So a connection has one such goroutine at most, and its messages are heard in their order,
// each before what follows it is carried out. What a Publisher publishes, which is no
// connection, is heard before Publish returns: Connection is 0, and Caller is nobody. A
// handler hears 256 of these at once; a further one fails with Overloaded and is not
// published. Any goroutine.
func (e *Engine) Hear(match string, h core.Handler) {
	e.warnOf(match, h)
	e.handlers.set(&e.handlers.listeners, match, h, maxRunning)
}

// notify tells h what the connection has published. On the loop.
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

// notify tells h what a Publisher has published in the name of ep.
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
