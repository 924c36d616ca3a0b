package engine

import "github.com/polywire/polywire/core"

// While the topics of core.SysTopic are told, they are apart from all others, in a trie of their own, whether they are heard by
// their names or by patterns: no client publishes to them, and only those whose access lists name them hear them. So no
// pattern of another client matches one, and no message of another node comes there. While they are not told, topics of such
// names are like all others.

// TellSys says whether topics of core.SysTopic are told from now on. Any goroutine.
func (e *Engine) TellSys(on bool) { e.telling.Store(on) }

// isSys reports whether a topic or a pattern is the broker's.
func (e *Engine) isSys(topic []byte) bool { return core.Sys(topic) && e.telling.Load() }

// trieFor returns where a pattern is kept that clients of the endpoint hear.
func (e *Engine) trieFor(ep *endpoint, k subscriptionKey) *trie {
	if k.sys {
		return e.sys
	}
	return ep.trie
}

// mayHearSys reports whether the connection may subscribe to a topic or a pattern of the broker.
func (p *peer) mayHearSys(c *core.Command) bool {
	access, ok := p.endpoint.Access.(core.NamingAccess)
	return ok && access.Named(p.link.Identity(), core.MaySubscribe, c.Topic, c.Pattern)
}

// Tell delivers a message on a topic of core.SysTopic. Its bytes are borrowed. Messages of one goroutine arrive in the order of
// its calls. Off the loops, when there is room in the mailboxes; any goroutine.
func (e *Engine) Tell(topic []byte, payload core.Payload) {
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	e.mu.RLock()
	if e.sys.size > 0 {
		s.hits = e.sys.match(topic, s.hits)
	}
	e.mu.RUnlock()
	e.fanOut(s, topic, &publication{payload: payload, from: core.FromBroker, whole: true})
}
