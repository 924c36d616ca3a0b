package engine

import (
	"time"

	"github.com/polywire/polywire/core"
)

// maxRefusedTopic bounds how much of a topic is kept of a refusal, in bytes.
const maxRefusedTopic = 128

// lastRefusal is what a connection was refused last. It is made once for a connection, and filled again: a client that is
// refused as fast as it can send leaves no garbage. Owned by the loop.
type lastRefusal struct {
	at     time.Time
	reason core.Reason
	verb   core.Verb
	length int
	topic  [maxRefusedTopic]byte
}

// noteRefusal keeps what the connection was refused.
func (p *peer) noteRefusal(verb core.Verb, topic []byte, r core.Reason) {
	if p.gone {
		return
	}
	x := p.ensureRare()
	if x.refused == nil {
		x.refused = new(lastRefusal)
	}
	x.refused.at, x.refused.reason, x.refused.verb = p.engine.now(), r, verb
	x.refused.length = copy(x.refused.topic[:], topic)
}

// shown returns what was refused, for an operator.
func (l *lastRefusal) shown() *core.Refusal {
	if l == nil {
		return nil
	}
	return &core.Refusal{At: l.at, Reason: l.reason, Verb: l.verb, Topic: string(l.topic[:l.length])}
}
