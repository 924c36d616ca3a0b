package network

import (
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// measured is of how many publishes of a loop one is measured on its way to the receivers.
const measured = 64

// load is what a loop has to do.
type load struct {
	// Owned by the loop.
	published uint32
	began     time.Time // of this turn

	// Atomic. busy is how many nanoseconds all turns have taken.
	busy atomic.Int64
	// mails is the highest number of mails that a turn found in the mailbox.
	mails core.Level
}

// sample returns when the message of a publish was read, as a duration since the start of the
// server, if that message is to be measured; else 0. On the loop.
func (l *loop) sample() time.Duration {
	if l.load.published++; l.load.published%measured != 1 {
		return 0
	}
	return max(l.load.began.Sub(l.server.started), 1)
}

// LoopLoad is what an event loop has to do.
type LoopLoad struct {
	// Index is the number of the loop.
	Index int
	// Busy is for how long it was not waiting for sockets.
	Busy time.Duration
	// Mails is how many messages and other work for it wait now, MaxMails the most that waited
	// for it at once lately; see [core.Level].
	Mails, MaxMails int
}

// Loops returns the load of the loops that have had connections. Any goroutine.
func (s *Server) Loops() []LoopLoad {
	var list []LoopLoad
	now := time.Now()
	for _, l := range s.loopList() {
		waits := l.mailbox.waiting()
		l.load.mails.Saw(int64(waits))
		list = append(list, LoopLoad{
			Index: l.index, Busy: time.Duration(l.load.busy.Load()), Mails: waits, MaxMails: int(l.load.mails.Peak(now)),
		})
	}
	return list
}

// waiting returns how many mails no turn has taken yet.
func (b *mailbox) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}
