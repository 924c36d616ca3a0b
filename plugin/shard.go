package plugin

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// The bounds on what waits in one shard. Above congested, a connection may have only one
// unanswered message; above full, events and messages are dropped and counted.
const (
	congestedQuestions = 4 << 10
	congestedBytes     = 8 << 20
	fullQuestions      = 64 << 10
	fullBytes          = 64 << 20
)

// window is how many batches may be unanswered. While one is, only full batches are sent,
// because any other soon grows.
const window = 4

// maxDirect is how many bytes may be unanswered when a loop sends a batch itself. gRPC
// takes that many without blocking (its write quota for a stream is 64 KiB).
const maxDirect = 32 << 10

// shard is the queue of questions to one process and its successors.
type shard struct {
	// Static after construction.
	format *Format
	index  int
	wake   chan struct{} // the writer has something to do; capacity 1
	faults chan error    // what a loop found wrong with the process; capacity 1

	// sending is held while a batch is taken out of the queue and sent. It is locked before mu.
	sending sync.Mutex

	// Safe for concurrent use: batches to be reused.
	spare sync.Pool

	// Atomic. unsent says that questions wait for the end of a turn.
	unsent atomic.Bool

	// Guarded by mu.
	mu       sync.Mutex
	queue    []*batch // the last one is being filled
	asked    []*batch // in flight, in order
	waiting  int      // questions in queue
	bytes    int      // and their bytes
	codecs   map[*codec]struct{}
	process  *process // nil while none serves
	stream   stream   // of process
	given    bool     // given up: nobody answers until a process runs again
	answered time.Time
}

func newShard(f *Format, index int) *shard {
	return &shard{
		format: f, index: index,
		wake: make(chan struct{}, 1), faults: make(chan error, 1),
		codecs: make(map[*codec]struct{}),
	}
}

// attach adds a connection.
func (s *shard) attach(c *codec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codecs[c] = struct{}{}
}

// detach removes a connection. A stateful plugin is told.
func (s *shard) detach(c *codec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.codecs, c)
	if s.format.stateful && !s.given {
		b := s.open()
		s.add(b, question{kind: contract.Closed, codec: c}, contract.AppendClosed(b.bytes, c.id))
	}
}

func (s *shard) askOpen(c *codec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := question{kind: contract.Open, codec: c}
	if s.given {
		s.lose(q, core.ReasonRestart)
		return
	}
	b := s.open()
	s.add(b, q, contract.AppendOpen(b.bytes, c.id))
}

// askDecode returns the size of the question and whether the shard is congested.
func (s *shard) askDecode(c *codec, f core.Frame) (size int, congested bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := question{kind: contract.Decode, codec: c}
	if s.given {
		s.lose(q, core.ReasonRestart)
		return 0, false
	}
	b := s.open()
	size = s.add(b, q, contract.AppendDecode(b.bytes, c.id, f))
	return size, s.waiting >= congestedQuestions || s.bytes >= congestedBytes
}

// askEncode reports whether there was room. If not, the event is lost, except a request:
// that still belongs to the caller.
func (s *shard) askEncode(c *codec, ev core.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := question{kind: contract.Encode, codec: c, asked: ev.PendingCall()}
	if s.given {
		s.lose(q, core.ReasonRestart)
		return true
	}
	switch full := s.full(); {
	case ev.IsRequest() && (full || !c.Admits(ev.Payload.Size())):
		return false
	case full || c.eventBytes.Load() > maxEventBytes:
		s.lose(q, core.ReasonOverload)
		return false
	}
	b := s.open()
	s.add(b, q, contract.AppendEncode(b.bytes, c.id, ev))
	return true
}

func (s *shard) askMessage(ev core.Event, done func(core.Frame, error)) {
	s.mu.Lock()
	lost := core.ReasonNormal
	switch {
	case s.given:
		lost = core.ReasonRestart
	case s.full():
		lost = core.ReasonOverload
	default:
		b := s.open()
		s.add(b, question{kind: contract.Message, done: done}, contract.AppendMessage(b.bytes, ev))
	}
	s.mu.Unlock()
	if lost != core.ReasonNormal {
		done(core.Frame{}, lossOf(lost))
	}
}

func (s *shard) full() bool { return s.waiting >= fullQuestions || s.bytes >= fullBytes }

// congested reports whether a connection should have no more than one message here.
func (s *shard) congested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting >= congestedQuestions/2 || s.bytes >= congestedBytes/2
}

// open returns the batch that is being filled. The caller holds mu.
func (s *shard) open() *batch {
	if n := len(s.queue); n > 0 && !s.queue[n-1].full() && s.queue[n-1].deaths == 0 {
		return s.queue[n-1]
	}
	b, _ := s.spare.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	s.queue = append(s.queue, b)
	return b
}

// add adds a question to b and returns its size. bytes are the bytes of b with the
// question. The caller holds mu.
func (s *shard) add(b *batch, q question, bytes []byte) (size int) {
	size = len(bytes) - len(b.bytes)
	q.size = size
	if q.kind == contract.Encode {
		q.codec.eventBytes.Add(int64(size))
	}
	b.bytes = bytes
	b.questions = append(b.questions, q)
	s.waiting++
	s.bytes += size
	s.format.endpoint.Stats.Unanswered.Add(1)
	s.unsent.Store(true)
	if !s.format.host.InTurn() && s.unsent.Swap(false) {
		s.signal()
	}
	return size
}

// flush sends what was asked in a turn that has ended: directly if that cannot block the
// loop, and otherwise by the writer.
func (s *shard) flush() {
	if s.unsent.Load() && s.unsent.Swap(false) && !s.sendDirect() {
		s.signal()
	}
}

// sendDirect sends a batch on the caller's goroutine, which saves a lone question the
// switch to another. It reports whether nothing is left to do.
func (s *shard) sendDirect() bool {
	if !s.sending.TryLock() {
		return false
	}
	defer s.sending.Unlock()
	s.mu.Lock()
	to := s.stream
	direct := to != nil && len(s.asked) == 0 && len(s.queue) == 1 && s.bytes <= maxDirect
	s.mu.Unlock()
	if !direct {
		return false
	}
	if b := s.next(); b != nil {
		// An error is the end of the stream, which the reader finds as well.
		_ = to.SendMsg(&contract.Packet{Bytes: b.bytes})
	}
	return true
}

// signal wakes the writer.
func (s *shard) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sign makes sure that something is asked. An empty batch asks for a sign of life.
func (s *shard) sign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 && len(s.asked) == 0 {
		s.queue = append(s.queue, new(batch))
		s.signal()
	}
}

// next returns the batch to be sent now; nil if there is none.
func (s *shard) next() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || len(s.asked) >= window {
		return nil
	}
	b := s.queue[0]
	if len(s.asked) > 0 && !b.full() {
		return nil
	}
	if careful := b.deaths > 0 || len(s.asked) > 0 && s.asked[0].deaths > 0; careful && len(s.asked) > 0 {
		return nil
	}
	s.queue = s.queue[1:]
	s.asked = append(s.asked, b)
	s.waiting -= len(b.questions)
	s.bytes -= len(b.bytes)
	b.sent = time.Now()
	return b
}

// first returns the batch that is answered next; nil if none is in flight.
func (s *shard) first() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return nil
	}
	return s.asked[0]
}

// settle removes the first batch in flight, which is answered, and lets the next one go.
func (s *shard) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = s.asked[1:]
	s.answered = time.Now()
	if len(s.queue) > 0 {
		s.signal()
	}
}

// release drops one reference to b and its answers. The last one returns b to the pool. If
// a connection ends before it gets its answers, that never happens. Any goroutine.
func (s *shard) release(b *batch) {
	if b.holders.Add(-1) > 0 {
		return
	}
	b.packet.Free()
	if cap(b.bytes) > keepBatch || b.deaths > 0 {
		return
	}
	clear(b.questions)
	clear(b.answers)
	b.bytes, b.questions, b.answers = b.bytes[:0], b.questions[:0], b.answers[:0]
	s.spare.Put(b)
}

// overdue reports whether the process has taken longer than limit for an answer, and in
// idle for how long nothing was asked of it.
func (s *shard) overdue(now time.Time, limit time.Duration) (overdue bool, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) > 0 {
		return now.Sub(s.asked[0].sent) > limit && now.Sub(s.answered) > limit, 0
	}
	return false, now.Sub(s.answered)
}

// forgive drops a complaint about a process that is gone.
func (s *shard) forgive() {
	select {
	case err := <-s.faults:
		s.format.log.Debug("plugin was ended before this was looked at", "error", err)
	default:
	}
}

// complain ends the process because of a wrong answer. Any goroutine.
func (s *shard) complain(err error) {
	select {
	case s.faults <- err:
	default:
	}
}

// complainOf is complain unless p is no longer the process that is asked: its successor did nothing wrong.
func (s *shard) complainOf(p *process, err error) {
	if s.current() == p {
		s.complain(err)
	}
}

// begin makes p, with its stream, the process that is asked from now on.
func (s *shard) begin(p *process, to stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.stream = p, to
	s.answered = time.Now()
	s.signal()
}

// current returns the process that serves; nil if none does.
func (s *shard) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}
