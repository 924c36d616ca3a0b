package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/httpclient"
)

const (
	// maxBatch bounds what the events of a request weigh together, in bytes.
	maxBatch = 1 << 20
	// A failed request is made again after firstPause, which doubles up to longestPause each time.
	firstPause, longestPause = 500 * time.Millisecond, 30 * time.Second
	// longestAfter is how long a server may ask to be left alone.
	longestAfter = 5 * time.Minute
)

// Options say which events a sink sends, and how.
type Options struct {
	// URL is absolute, http or https.
	URL string
	// Secret signs the requests.
	Secret []byte
	// Moments are those that are sent, and Endpoints those of whose clients; nil is all.
	Moments   []core.Moment
	Endpoints []string
	// Batch is how many events a request has at most.
	Batch int
	// Timeout bounds a request, and RetryFor how long a batch is tried.
	Timeout, RetryFor time.Duration
	// Queue bounds what waits, in bytes: each event counts its texts and 512 bytes.
	Queue int64
}

// settings are Options in use. Static.
type settings struct {
	Options
	wanted    uint32          // Moments as bits
	endpoints map[string]bool // nil is all
	client    *http.Client
}

func newSettings(o Options) *settings {
	s := &settings{Options: o, client: httpclient.NewDirect(o.Timeout, 0, 1)}
	for _, m := range o.Moments {
		s.wanted |= 1 << m
	}
	if o.Moments == nil {
		s.wanted = 1<<core.NumMoments - 1
	}
	if o.Endpoints != nil {
		s.endpoints = make(map[string]bool)
		for _, name := range o.Endpoints {
			s.endpoints[name] = true
		}
	}
	return s
}

// wants reports whether an observation is sent. One of no endpoint is.
func (s *settings) wants(o *core.Observation) bool {
	return s.wanted&(1<<o.Moment) != 0 && (s.endpoints == nil || o.Endpoint == nil || s.endpoints[o.Endpoint.Name])
}

// Sink sends events to one server. Its methods may be called from any goroutine, Start and Close once.
type Sink struct {
	// Static after construction.
	log       *slog.Logger
	run, node string
	prefix    string // of the ids of events
	stats     *core.SinkStats
	ctx       context.Context // of all requests
	cancel    context.CancelFunc
	changed   chan struct{} // capacity 1: there are other settings
	closing   chan struct{} // closed by Close
	ended     chan struct{} // closed when nothing is sent any more
	first     time.Duration // firstPause; shorter in tests

	// Atomic.
	settings atomic.Pointer[settings]

	queue queue

	// Owned by the sender.
	batches     uint64 // so far
	lost        uint64 // events of which the server was told that it does not get them
	lostInLog   uint64 // events that did not fit into the queue, as the log says
	connections *http.Client
	hurried     bool // a wait was cut short because the sink is about to close

	// Guarded by mu.
	mu      sync.Mutex
	started bool
	failure error // why the server does not take events; nil if it does
}

// NewSink returns a sink of a hub that is not in use yet. log is told when the server stops taking events, when it
// takes them again, and what is dropped.
func NewSink(h *Hub, o Options, stats *core.SinkStats, log *slog.Logger) *Sink {
	s := &Sink{
		log: log, run: h.run, node: h.node, stats: stats,
		prefix:  h.run + "-" + strconv.FormatUint(h.made.Add(1), 10) + "-",
		changed: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
		first: firstPause,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.queue.stats, s.queue.wake = stats, make(chan struct{}, 1)
	s.settings.Store(newSettings(o))
	return s
}

// Configure replaces the options. What waits is sent as they say. The hub learns of other moments by Use.
func (s *Sink) Configure(o Options) {
	s.settings.Store(newSettings(o))
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Start begins to send.
func (s *Sink) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	go s.send()
}

// Close sends what waits until ctx ends, and drops the rest. What is offered from then on is dropped.
func (s *Sink) Close(ctx context.Context) {
	s.queue.close()
	close(s.closing)
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if started {
		stop := context.AfterFunc(ctx, s.cancel)
		<-s.ended
		stop()
		if s.connections != nil {
			s.connections.CloseIdleConnections()
		}
	}
	s.cancel()
	for rest := s.queue.take(1<<10, maxBatch); len(rest) > 0; rest = s.queue.take(1<<10, maxBatch) {
		s.drop(core.ReasonDrain, len(rest), errors.New("the broker ends"))
	}
}

// Health returns why the server does not take events; nil if it does, or has not been asked.
func (s *Sink) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Stats are the counters.
func (s *Sink) Stats() *core.SinkStats { return s.stats }

// offer puts an observation into the queue, if it is wanted.
func (s *Sink) offer(o *core.Observation) {
	if set := s.settings.Load(); set.wants(o) {
		s.queue.put(o, set.Queue)
	}
}

// send sends what is in the queue until it is closed and empty, or ctx has ended.
func (s *Sink) send() {
	defer close(s.ended)
	for s.ctx.Err() == nil {
		events := s.queue.take(s.settings.Load().Batch, maxBatch)
		if len(events) > 0 {
			s.deliver(events)
			continue
		}
		if s.queue.closed() {
			return
		}
		select {
		case <-s.queue.wake:
		case <-s.ctx.Done():
		}
	}
}

// deliver sends a batch until the server has taken it, has refused it, or it is dropped.
func (s *Sink) deliver(events []waiting) {
	s.batches++
	id, dropped := s.prefix+"b"+strconv.FormatUint(s.batches, 10), s.dropped()
	body, err := encode(id, s.run, s.node, dropped-s.lost, s.prefix, events)
	if err != nil {
		s.drop(core.ReasonUnwritable, len(events), err)
		return
	}
	pause, end := s.first, time.Now().Add(s.settings.Load().RetryFor)
	for {
		s.logLost()
		err := s.post(id, body)
		if err == nil {
			s.lost = dropped
			s.stats.Sent.Add(uint64(len(events)))
			s.note(nil)
			return
		}
		if s.ctx.Err() != nil {
			s.drop(core.ReasonDrain, len(events), err)
			return
		}
		s.note(err)
		var after time.Duration
		if status, ok := errors.AsType[*statusError](err); ok {
			if status.final() {
				s.drop(core.ReasonDenied, len(events), err)
				return
			}
			after = status.after
		}
		left := time.Until(end)
		if left <= 0 {
			s.drop(core.ReasonTimeout, len(events), err)
			return
		}
		if !s.wait(min(max(jitter(pause), after), left)) {
			s.drop(core.ReasonDrain, len(events), err)
			return
		}
		pause = min(2*pause, longestPause)
		s.stats.Retries.Add(1)
	}
}

// jitter returns a time between half of d and d, so that the brokers that wait for one server do not come back at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// wait waits for d, or until there are other settings, or for the first time since the sink is about to close: then there
// is little time left. It reports false when there is none.
func (s *Sink) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	closing := s.closing
	if s.hurried {
		closing = nil
	}
	select {
	case <-timer.C:
	case <-s.changed:
	case <-closing:
		s.hurried = true
	case <-s.ctx.Done():
		return false
	}
	return true
}

// note remembers whether the server takes events and logs when that changes.
func (s *Sink) note(err error) {
	s.mu.Lock()
	before := s.failure
	s.failure = err
	s.mu.Unlock()
	s.stats.Failing.Store(err != nil)
	switch {
	case err != nil && before == nil:
		s.log.Warn("events are not taken", logging.Bounded("", ""), slog.Any("error", err))
	case err == nil && before != nil:
		s.log.Warn("events are taken again", logging.Bounded("", ""))
	}
}

// drop counts and logs events that the server does not get.
func (s *Sink) drop(r core.Reason, n int, err error) {
	s.stats.Dropped.Add(r, uint64(n))
	s.log.Warn("events dropped", logging.Bounded("", r.String()), slog.Int("events", n), slog.Any("error", err))
}

// logLost logs how many events did not fit into the queue since the last time.
func (s *Sink) logLost() {
	if n := s.stats.Dropped[core.ReasonOverload].Load(); n != s.lostInLog {
		s.log.Warn("events dropped", logging.Bounded("", core.ReasonOverload.String()), slog.Uint64("events", n-s.lostInLog))
		s.lostInLog = n
	}
}

// dropped returns how many events the server does not get, of all times.
func (s *Sink) dropped() (n uint64) {
	for r := range s.stats.Dropped {
		n += s.stats.Dropped[r].Load()
	}
	return n
}

// statusError is an answer that is not 2xx.
type statusError struct {
	status int
	after  time.Duration // as long the server wants to be left alone
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answers with status %d", e.status)
}

// final reports whether the server refuses the events for good. A redirect is not followed: the secret was given for
// one address; it is for the operator to correct that, so the events wait.
func (e *statusError) final() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.status >= 400 && e.status < 500
}
