package network

import (
	"slices"

	"github.com/polywire/polywire/core"
)

// This file batches the traffic with codecs in other processes: the questions of one turn of a
// loop are sent together, and the answers of one message reach each loop in one turn. Otherwise
// the first would be sent on before the second exists, and each would cost a turn and a write.

var _ core.RemoteHost = (*Server)(nil)

// bind connects a remote format with the loops before it has connections. The caller holds mu.
func (s *Server) bind(remote core.RemoteFormat) {
	remote.Bind(s)
	all := append(slices.Clone(*s.remotes.Load()), remote)
	s.remotes.Store(&all)
}

// unbind removes a format that has no connections any more. The caller holds mu.
func (s *Server) unbind(remote core.RemoteFormat) {
	rest := slices.DeleteFunc(slices.Clone(*s.remotes.Load()), func(r core.RemoteFormat) bool { return r == remote })
	s.remotes.Store(&rest)
}

// enterTurn counts a turn that begins, if there is a remote format. It reports whether it did.
func (s *Server) enterTurn() bool {
	if len(*s.remotes.Load()) == 0 {
		return false
	}
	s.turns.Add(1)
	return true
}

// leaveTurn ends a turn that was counted: it asks no more questions.
func (s *Server) leaveTurn() {
	// The count comes first: whoever asks from now on, and sees no loop in a turn, sends at once.
	s.turns.Add(-1)
	for _, remote := range *s.remotes.Load() {
		remote.Flush()
	}
}

// InTurn reports whether a loop is in a turn.
func (s *Server) InTurn() bool { return s.turns.Load() > 0 }

// Together runs f. Each loop gets what f posts to it in one turn, unless f waits for room. Any
// goroutine.
func (s *Server) Together(f func()) {
	loops := s.loopList()
	for _, l := range loops {
		l.mailbox.hold()
	}
	defer func() {
		for _, l := range loops {
			if l.mailbox.release() {
				l.execute()
			}
		}
	}()
	f()
}
