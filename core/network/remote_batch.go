package network

import (
	"slices"

	"github.com/polywire/polywire/core"
)

// This file is how what belongs together stays together on its way to codecs in other
// processes and back: questions of one turn of a loop, and answers that came in one message.
// Otherwise the other side would have been handed the first of them before the second was
// there, and each would cost a turn and a write of its own.

var _ core.RemoteHost = (*Server)(nil)

// bind tells a remote format whose loops these are, before it has connections. The caller
// holds mu.
func (s *Server) bind(remote core.RemoteFormat) {
	remote.Bind(s)
	all := append(slices.Clone(*s.remotes.Load()), remote)
	s.remotes.Store(&all)
}

// unbind forgets a format that has no connections any more. The caller holds mu.
func (s *Server) unbind(remote core.RemoteFormat) {
	rest := slices.DeleteFunc(slices.Clone(*s.remotes.Load()), func(r core.RemoteFormat) bool { return r == remote })
	s.remotes.Store(&rest)
}

// enterTurn counts a turn that begins, if there is a format that wants to know. It
// reports whether it did.
func (s *Server) enterTurn() bool {
	if len(*s.remotes.Load()) == 0 {
		return false
	}
	s.turns.Add(1)
	return true
}

// leaveTurn is the end of a turn that was counted: it has no more questions.
func (s *Server) leaveTurn() {
	// First the count: who asks from now on and sees none in turn hurries itself.
	s.turns.Add(-1)
	for _, remote := range *s.remotes.Load() {
		remote.Flush()
	}
}

// InTurn reports whether a loop is in the midst of a turn.
func (s *Server) InTurn() bool { return s.turns.Load() > 0 }

// Together runs f, and lets each loop have what f gives to it in one turn.
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
