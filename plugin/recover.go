package plugin

import (
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// This file handles the pending questions when a process has ended.
//
// A batch without an answer has had no effect in the broker, so all of it is asked again,
// before what has queued meanwhile. But one of its questions may have killed the process.
// So the questions of unanswered batches are asked one at a time, and the one over which
// another process dies is lost, with its connection. A stateful codec cannot go on with
// its connections; they are closed.

// end is called when the process that was asked has ended. It puts the unanswered batches back.
// Nobody takes part in the loss who has connected after it.
func (s *shard) end() {
	// Not in the middle of sendDirect, which would send to the old stream what is put back.
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.stream = nil, nil
	var again []*batch
	for _, b := range s.asked {
		s.format.endpoint.Stats.Plugin.Failed.Observe(time.Since(b.sent))
		b.deaths++
		if b.deaths > 1 {
			for _, q := range b.questions {
				s.lose(q, core.ReasonRestart)
			}
			continue
		}
		again = append(again, s.apart(b)...)
	}
	s.asked = nil
	for _, b := range again {
		s.waiting += len(b.questions)
		s.bytes += len(b.bytes)
	}
	s.queue = append(again, s.queue...)
	if s.format.stateful {
		s.loseConnections()
	}
}

// giveUp drops all questions and closes all connections: nobody answers any more, or not
// for some time.
func (s *shard) giveUp() {
	s.mu.Lock()
	s.given = true
	lost := append(s.asked, s.queue...)
	s.queue, s.asked, s.waiting, s.bytes = nil, nil, 0, 0
	for _, b := range lost {
		for _, q := range b.questions {
			s.lose(q, core.ReasonRestart)
		}
	}
	for c := range s.codecs {
		c.conn.Close(core.ReasonRestart)
	}
	s.mu.Unlock()
}

// takeUp ends giveUp.
func (s *shard) takeUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = false
}

// loseConnections closes all connections and drops their questions. Messages stay. The
// caller holds mu.
func (s *shard) loseConnections() {
	var kept []*batch
	for _, b := range s.queue {
		from := 0
		for _, q := range b.questions {
			to := from + q.size
			if q.kind == contract.Message {
				kept = append(kept, &batch{bytes: b.bytes[from:to:to], questions: []question{q}, deaths: b.deaths})
			} else {
				s.waiting--
				s.bytes -= q.size
				s.lose(q, core.ReasonRestart)
			}
			from = to
		}
	}
	s.queue = kept
	for c := range s.codecs {
		c.conn.Close(core.ReasonRestart)
	}
}
