package plugin

import (
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// The bounds of one Questions message. A bigger question has a message of its own.
const (
	maxBatch      = 512
	maxBatchBytes = 128 << 10
	// keepBatch is the biggest buffer that is reused.
	keepBatch = 256 << 10
)

// batch is one Questions message, from its first question until it is answered.
type batch struct {
	bytes     []byte
	questions []question
	sent      time.Time

	// The answers while they are handed out. They point into packet.
	answers [][]byte
	packet  contract.Packet
	// Atomic. holders counts the references to them.
	holders atomic.Int32

	// deaths counts the processes that ended over it. After one, its questions are asked
	// again one at a time.
	deaths int
}

// question is the record of one question until it is answered.
type question struct {
	kind contract.QuestionKind
	size int
	// The asker: a connection, or for a message done.
	codec *codec
	done  func(core.Frame, error)
	asked core.CallID // of a request event
}

// full reports whether no other question goes in.
func (b *batch) full() bool { return len(b.questions) >= maxBatch || len(b.bytes) >= maxBatchBytes }

// apart puts each question of b into a batch of its own, and leaves out those of closed
// connections.
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

// lose ends q without an answer, for reason r. Any goroutine.
func (s *shard) lose(q question, r core.Reason) {
	s.left(q)
	if q.codec != nil {
		q.codec.conn.Post(func() { q.codec.lost(q, r) })
		return
	}
	q.done(core.Frame{}, lossOf(r))
}

// left counts that q is no longer pending, if it was.
func (s *shard) left(q question) {
	if q.size > 0 {
		s.format.endpoint.Stats.Unanswered.Add(-1)
	}
}
