package engine

import "github.com/polywire/polywire/core"

// maxWords bounds the memory that is kept with a call for the next one, in bytes.
const maxWords = 1 << 10

// call is what is kept of a call that waits for its answer. Whoever takes it out of
// the table ends it, and gives it to recycle; nobody else has it.
type call struct {
	// Static after callTable.add.
	id      core.CallID
	caller  *peer
	asked   *peer        // nil if a Go handler is asked
	service *service     // by which asked was found; nil if a Go handler is asked
	ctx     *callContext // of the Go handler; else nil
	byTopic bool         // the caller hears of it by topics
	counted bool         // in caller.running
	as      uint32       // ref and as are those of the command
	ref     []byte       // part of words, or nil
	name    []byte       // the whole address of the service; part of words
	words   []byte

	// Guarded by callTable.mu.
	due int64 // tick
	in  [numLists]neighbours
}

// newCall returns what is to be kept of a call.
func (p *peer) newCall(c *core.Command, byTopic bool) *call {
	k := p.engine.records.Get().(*call)
	k.caller, k.byTopic, k.as = p, byTopic, c.As
	k.counted = p.endpoint.CallsAtOnce > 0 && !byTopic && !c.OneWay
	k.words = append(append(append(k.words[:0], c.Ref...), p.endpoint.TopicPrefix...), c.Topic...)
	if c.Ref != nil {
		k.ref = k.words[:len(c.Ref)]
	}
	k.name = k.words[len(c.Ref):]
	return k
}

// stop tells a Go handler that nobody waits for its answer any more. It comes before
// the caller is told of the end, so that nothing which the handler does comes after.
func (c *call) stop() {
	if c.ctx != nil {
		c.ctx.end()
	}
}

// recycle keeps the record for another call. That of a Go handler, who has it still,
// is left to the garbage collector.
func (e *Engine) recycle(c *call) {
	if c.ctx != nil {
		return
	}
	words := c.words[:0]
	if cap(words) > maxWords {
		words = nil
	}
	*c = call{words: words}
	e.records.Put(c)
}

// topic returns the service as the caller knows it.
func (c *call) topic() []byte { return c.name[len(c.caller.endpoint.TopicPrefix):] }

// isFor reports whether the call is for what p knows as service.
func (c *call) isFor(p *peer, service []byte) bool {
	prefix := p.endpoint.TopicPrefix
	return hasPrefix(c.name, prefix) && string(c.name[len(prefix):]) == string(service)
}

// answered returns what tells the caller of the answer.
func (c *call) answered(payload core.Payload) core.Event {
	if c.byTopic {
		return answerByTopic(c.ref, payload)
	}
	return core.Event{
		Kind: core.Answer, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: c.topic(), As: c.as, Payload: payload,
	}
}

// failed returns what tells the caller of the failure.
func (c *call) failed(f core.Failure) core.Event {
	if c.byTopic {
		return failureByTopic(c.ref, f)
	}
	return core.Event{
		Kind: core.Failed, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: c.topic(), As: c.as, Failure: f,
	}
}
