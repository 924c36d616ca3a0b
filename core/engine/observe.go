package engine

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// maxNames is how many names of services an observation has.
const maxNames = 100

// Observe makes o see from now on what clients do; nil makes nobody see it. Any goroutine.
func (e *Engine) Observe(o core.Observer) {
	if o == nil {
		e.observer.Store(nil)
		return
	}
	e.observer.Store(&o)
}

// watcher returns who is to see a moment; nil if nobody is.
func (e *Engine) watcher(m core.Moment) core.Observer {
	if o := e.observer.Load(); o != nil && (*o).Wants(m) {
		return *o
	}
	return nil
}

// observation returns a moment of the connection.
func (p *peer) observation(m core.Moment) *core.Observation {
	return &core.Observation{
		Moment: m, At: p.engine.now(), Endpoint: p.endpoint.Endpoint,
		Connection: p.link.ID(), Remote: p.link.Remote(), User: p.link.Identity().User(),
	}
}

// noteConnected and the others log what happens to the connection, and show it to who observes.
func (p *peer) noteConnected() {
	p.engine.access.connected(p.link)
	if o := p.engine.watcher(core.MomentConnected); o != nil {
		o.Observe(p.observation(core.MomentConnected))
	}
}

func (p *peer) noteLeft(r core.Reason) {
	p.engine.access.left(p, r)
	if o := p.engine.watcher(core.MomentDisconnected); o != nil {
		x := p.observation(core.MomentDisconnected)
		x.Opened, x.Reason = p.link.OpenedAt(), r
		o.Observe(x)
	}
}

func (p *peer) noteSubscribed(topic []byte) {
	p.engine.access.subscribed(p.link, topic)
	p.observeTopic(core.MomentSubscribed, topic)
}

func (p *peer) noteUnsubscribed(topic []byte) { p.observeTopic(core.MomentUnsubscribed, topic) }

func (p *peer) observeTopic(m core.Moment, topic []byte) {
	if o := p.engine.watcher(m); o != nil {
		x := p.observation(m)
		x.Topic = string(topic)
		o.Observe(x)
	}
}

// noteOffered shows what the connection has got.
func (p *peer) noteOffered(got *pendingOffer) {
	o := p.engine.watcher(core.MomentOffered)
	if o == nil {
		return
	}
	x := p.observation(core.MomentOffered)
	if got.channel != nil {
		p.nameChannel(x, got.channel)
	} else {
		p.nameServices(x, got.services)
	}
	o.Observe(x)
}

// noteWithdrawn shows what the connection has no longer, a channel or a service; why is that of one that it has lost.
func (p *peer) noteWithdrawn(c *channel, service string, why refusal) {
	o := p.engine.watcher(core.MomentWithdrawn)
	if o == nil {
		return
	}
	x := p.observation(core.MomentWithdrawn)
	x.Reason, x.Text = why.reason, why.Text
	if c != nil {
		p.nameChannel(x, c)
	} else {
		p.nameServices(x, []string{service})
	}
	o.Observe(x)
}

func (p *peer) nameChannel(x *core.Observation, c *channel) {
	x.Channel = c.name[len(p.endpoint.TopicPrefix):]
	n := c.names.size()
	for i := range min(n, maxNames) {
		x.Services = append(x.Services, c.names.at(i))
	}
	x.More = n - len(x.Services)
}

func (p *peer) nameServices(x *core.Observation, whole []string) {
	for _, name := range whole[:min(len(whole), maxNames)] {
		x.Services = append(x.Services, name[len(p.endpoint.TopicPrefix):])
	}
	x.More = len(whole) - len(x.Services)
}

func (p *peer) noteSession(s core.Session, restored bool) {
	if o := p.engine.watcher(core.MomentSessionOpened); o != nil {
		x := p.observation(core.MomentSessionOpened)
		x.Session, x.Restored = s.Key, restored
		o.Observe(x)
	}
}

// noteSessionClosed shows that the store has deleted a session, of p or of nobody. Any goroutine.
func (e *Engine) noteSessionClosed(p *peer, key string) {
	o := e.watcher(core.MomentSessionClosed)
	if o == nil {
		return
	}
	x := &core.Observation{Moment: core.MomentSessionClosed, At: e.now()}
	if p != nil {
		x = p.observation(core.MomentSessionClosed)
	}
	x.Session = key
	o.Observe(x)
}

// noteRefused remembers, logs and shows what the connection is refused. Of an endpoint and a reason one refusal a second is
// shown: a client that is refused as fast as it can send must not push out what others do.
func (p *peer) noteRefused(verb core.Verb, topic []byte, r refusal) {
	p.rememberRefused(verb, topic, r)
	p.engine.access.refused(p, verb, topic, r)
	o := p.engine.watcher(core.MomentRefused)
	if o == nil {
		return
	}
	if !p.endpoint.shown.over(r.reason, p.engine.now()) {
		p.endpoint.unshown[r.reason].Add(1)
		return
	}
	x := p.observation(core.MomentRefused)
	x.Verb, x.Topic, x.Reason, x.Text = verb, string(topic), r.reason, r.Text
	x.LeftOut = p.endpoint.unshown[r.reason].Swap(0)
	o.Observe(x)
}

// skipped count by reason what was not shown. Atomic.
type skipped [core.NumReasons]atomic.Uint64
