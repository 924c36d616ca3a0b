package plugin

import (
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// The bounds of one Questions message. A question that is bigger has one of its own.
const (
	maxBatch      = 512
	maxBatchBytes = 128 << 10
	// keepBatch is the biggest buffer that is used again.
	keepBatch = 256 << 10
)

// batch is one Questions message: as it fills, on its way, until it is answered.
type batch struct {
	bytes     []byte
	questions []question
	sent      time.Time

	// The answers, which are parts of packet, while they are handed out.
	answers [][]byte
	packet  contract.Packet
	// Atomic. holders is how many have not yet done with them.
	holders atomic.Int32

	// deaths counts the processes that ended over it. What has ended one is asked again
	// one question at a time.
	deaths int
}

// question is what is remembered of one question until it is answered.
type question struct {
	kind contract.QuestionKind
	size int
	// Who asks: a connection, or for a message done.
	codec *codec
	done  func(core.Frame, error)
	asked core.CallID // for an event, by which a client is asked
}

// full reports whether no other question goes in.
func (b *batch) full() bool { return len(b.questions) >= maxBatch || len(b.bytes) >= maxBatchBytes }

// apart returns the questions of b each in a batch of its own, without those of
// connections that are gone.
func (s *shard) apart(b *batch) []*batch {
	var all []*batch
	from := 0
	for _, q := range b.questions {
		to := from + q.size
		if q.codec == nil || !q.codec.closed.Load() {
			all = append(all, &batch{bytes: b.bytes[from:to:to], questions: []question{q}, deaths: b.deaths})
		} else {
			s.left(q)
		}
		from = to
	}
	return all
}

// lose answers q: it got no answer, for r. Any goroutine.
func (s *shard) lose(q question, r core.Reason) {
	s.left(q)
	if q.codec != nil {
		q.codec.conn.Post(func() { q.codec.lost(q, r) })
		return
	}
	q.done(core.Frame{}, lossOf(r))
}

// left counts that q waits for no answer any more, if it did.
func (s *shard) left(q question) {
	if q.size > 0 {
		s.format.endpoint.Stats.Unanswered.Add(-1)
	}
}
