package network

import "github.com/polywire/polywire/core"

// This file is how what belongs together stays together on its way to formats that
// translate elsewhere and back: questions of one turn of a loop, and answers that came in
// one message. Otherwise the other side would have been handed the first of them before
// the second was there, and each would cost a turn and a write of its own.

var _ core.RemoteHost = (*Server)(nil)

// bind tells the formats that translate elsewhere whose loops these are. It is called
// before there are any.
func (s *Server) bind(eps []Endpoint) {
	for _, e := range eps {
		if remote, ok := e.Format.(core.RemoteFormat); ok {
			remote.Bind(s)
			s.remotes = append(s.remotes, remote)
		}
	}
}

// enterTurn counts a turn that begins.
func (s *Server) enterTurn() {
	if len(s.remotes) > 0 {
		s.turns.Add(1)
	}
}

// leaveTurn counts a turn that has no more questions.
func (s *Server) leaveTurn() {
	if len(s.remotes) > 0 {
		// First the count: who asks from now on and sees none in turn hurries itself.
		s.turns.Add(-1)
		for _, remote := range s.remotes {
			remote.Flush()
		}
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
