package engine

import (
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// maxRef bounds the ref of a call, in bytes: it is kept until the call ends.
const maxRef = 256

// call is what is kept of a call that waits for its answer. Whoever takes it out of
// the table ends it, and gives it to recycle; nobody else has it. Names are not its own:
// a client could have much memory with them.
type call struct {
	// Static after callTable.add.
	id      core.CallID
	caller  *peer
	asked   *peer        // nil if a Go handler is asked
	service *service     // by which asked was found; nil if a Go handler is asked
	ctx     *callContext // of the Go handler; else nil
	held    int          // bytes that the Go handler is given
	byTopic bool         // the caller hears of it by topics
	counted bool         // in caller.running
	as      uint32       // ref and as are those of the command
	ref     []byte       // words, or nil
	called  string       // the service as the caller knows it, if a Go handler is asked
	title   title        // the service, if a connection is asked
	words   []byte

	// Guarded by callTable.mu.
	timer timers.Timer[call]
	in    [numLists]neighbours
}

// Timer returns the timer of the time that the caller waits.
func (c *call) Timer() *timers.Timer[call] { return &c.timer }

// newCall returns what is to be kept of a call, but for who is asked.
func (p *peer) newCall(c *core.Command, byTopic bool) *call {
	k := p.engine.records.Get().(*call)
	k.caller, k.byTopic, k.as = p, byTopic, c.As
	if c.OneWay {
		return k
	}
	k.counted = p.endpoint.CallsAtOnce > 0 && !byTopic
	k.words = append(k.words[:0], c.Ref...)
	if c.Ref != nil {
		k.ref = k.words
	}
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
	*c = call{words: c.words[:0]}
	e.records.Put(c)
}

// isFor reports whether the call was put to p under what p knows as service.
func (c *call) isFor(p *peer, service []byte) bool {
	return c.title.is(p.endpoint.TopicPrefix, service)
}

// topic returns the service as the caller knows it, in s.
func (c *call) topic(s *scratch) []byte {
	if c.asked == nil {
		s.topic = append(s.topic[:0], c.called...)
		return s.topic
	}
	s.topic = c.title.appendTo(s.topic[:0])
	return s.topic[len(c.caller.endpoint.TopicPrefix):]
}

// answered returns what tells the caller of the answer. topic is that of the call.
func (c *call) answered(topic []byte, payload core.Payload) core.Event {
	if c.byTopic {
		return answerByTopic(c.ref, payload)
	}
	return core.Event{
		Kind: core.Answer, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: topic, As: c.as, Payload: payload,
	}
}

// failed returns what tells the caller of the failure. topic is that of the call.
func (c *call) failed(topic []byte, f core.Failure) core.Event {
	if c.byTopic {
		return failureByTopic(c.ref, f)
	}
	return core.Event{
		Kind: core.Failed, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: topic, As: c.as, Failure: f,
	}
}
