package admin

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxLive bounds the streams of /v1/live.
	maxLive = 64
	// liveEvery is the time from one sample to the next.
	liveEvery = time.Second
	// liveTime is how long a stream lasts: then its reader shows again who it is.
	liveTime = 5 * time.Minute
)

// Live is an event of /v1/live. What is counted is counted from the start of the broker.
type Live struct {
	// Time is when the sample was taken.
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
	// Topics counts topics and patterns that somebody hears, Calls those that wait for their answers.
	Topics int `json:"topics"`
	Calls  int `json:"calls"`
	// QueuedBytes wait for clients.
	QueuedBytes int64          `json:"queued_bytes"`
	MemoryBytes uint64         `json:"memory_bytes"`
	Protocols   []LiveProtocol `json:"protocols"`
}

// LiveProtocol is what the endpoints of a format do together.
type LiveProtocol struct {
	Protocol    string `json:"protocol"`
	Endpoints   int    `json:"endpoints"`
	Open        int64  `json:"open"`
	MessagesIn  uint64 `json:"messages_in"`
	MessagesOut uint64 `json:"messages_out"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
	Published   uint64 `json:"published"`
	Calls       uint64 `json:"calls"`
	Refused     uint64 `json:"refused"`
	Dropped     uint64 `json:"dropped"`
	// P50 and P99 are how long messages took that were measured since the sample before, from when they were read to when
	// the socket of a client of this format took them, in seconds; nil if none was measured.
	P50 *float64 `json:"p50_seconds,omitempty"`
	P99 *float64 `json:"p99_seconds,omitempty"`
	// Untranslated counts what clients of this format did not get because it cannot write it, by the format of the author.
	Untranslated map[string]uint64 `json:"untranslated,omitempty"`

	delays []uint64
	lowest int
}

// live serves GET /v1/live: a sample each second, as server-sent events. All streams share the samples, and without
// streams none are taken. A reader that is slow misses samples.
type live struct {
	// Static after construction.
	src    *Source
	ending context.Context // ends with the server
	api    api

	// Guarded by mu.
	mu      sync.Mutex
	readers map[chan []byte]bool // each has room for one sample
	stop    context.CancelFunc   // of the sampler; nil without readers
	last    []byte               // the last sample; nil without readers
}

func newLive(src *Source, ending context.Context, a api) *live {
	return &live{src: src, ending: ending, api: a, readers: make(map[chan []byte]bool)}
}

func (l *live) serve(mux *http.ServeMux) { mux.Handle("GET /v1/live", l) }

func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, no := l.api.guard.admit(r, Read, "look at the broker")
	switch {
	case no != nil:
		l.api.turnAway(w, no)
		return
	case r.Method != http.MethodGet: // HEAD is routed here too
		w.Header().Set("Allow", http.MethodGet)
		l.api.refuse(w, &apiError{http.StatusMethodNotAllowed, "invalid", "it is asked for with GET"})
		return
	case r.URL.RawQuery != "":
		l.api.refuse(w, invalid("/v1/live has no parameters"))
		return
	}
	samples := l.join()
	if samples == nil {
		w.Header().Set("Retry-After", "30")
		l.api.refuse(w, &apiError{http.StatusServiceUnavailable, "overloaded", "too many pages are open; try again later"})
		return
	}
	defer l.leave(samples)
	until := time.Now().Add(liveTime)
	if !who.expires.IsZero() && who.expires.Before(until) {
		until = who.expires
	}
	ctx, cancel := context.WithDeadline(r.Context(), until)
	defer cancel()
	defer context.AfterFunc(l.ending, cancel)()
	l.stream(ctx, w, samples)
}

// stream writes samples until ctx ends or its reader has gone.
func (l *live) stream(ctx context.Context, w http.ResponseWriter, samples <-chan []byte) {
	conn := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	for {
		select {
		case <-ctx.Done():
			return
		case data := <-samples:
			err := conn.SetWriteDeadline(time.Now().Add(tapPatience))
			_, failed := w.Write(data)
			if errors.Join(err, failed, conn.Flush()) != nil {
				return // the reader has gone
			}
		}
	}
}

// join returns where a new reader gets the samples; nil if there are too many.
func (l *live) join() chan []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) >= maxLive {
		return nil
	}
	to := make(chan []byte, 1)
	l.readers[to] = true
	if l.last != nil {
		to <- l.last
	}
	if l.stop == nil {
		var ctx context.Context
		ctx, l.stop = context.WithCancel(l.ending)
		go l.run(ctx)
	}
	return to
}

func (l *live) leave(to chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.readers, to); len(l.readers) == 0 {
		l.stop()
		l.stop, l.last = nil, nil
	}
}

// run takes samples until ctx ends.
func (l *live) run(ctx context.Context) {
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	var before []LiveProtocol
	for {
		now := l.sample(before)
		before = now.Protocols
		if data, err := json.Marshal(now); err == nil { // it has nothing that cannot be written
			l.tell(append(append([]byte("data: "), data...), "\n\n"...))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tell gives a sample to the readers, in place of one that they have not taken.
func (l *live) tell(data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers) == 0 {
		return
	}
	l.last = data
	for to := range l.readers {
		select {
		case <-to:
		default:
		}
		to <- data // there is room: nobody else sends
	}
}

// sample reads the counters.
func (l *live) sample(before []LiveProtocol) Live {
	used, _ := l.src.Memory()
	now := Live{
		Time: time.Now().UTC(), Version: l.src.Version, Topics: l.src.Topics(), Calls: l.src.Calls(),
		QueuedBytes: l.src.Outbound(), MemoryBytes: used, Protocols: []LiveProtocol{},
	}
	at := make(map[string]int)
	for _, ep := range l.src.Endpoints() {
		i, known := at[ep.Protocol]
		if !known {
			i = len(now.Protocols)
			at[ep.Protocol] = i
			now.Protocols = append(now.Protocols, LiveProtocol{Protocol: ep.Protocol})
		}
		now.Protocols[i].add(ep.Stats)
	}
	for i := range now.Protocols {
		p := &now.Protocols[i]
		for j := range before {
			if before[j].Protocol == p.Protocol && len(before[j].delays) == len(p.delays) {
				p.P50, p.P99 = quantile(p, &before[j], 0.5), quantile(p, &before[j], 0.99)
			}
		}
	}
	slices.SortFunc(now.Protocols, func(a, b LiveProtocol) int { return strings.Compare(a.Protocol, b.Protocol) })
	return now
}

// add adds an endpoint.
func (p *LiveProtocol) add(s *core.Stats) {
	p.Endpoints++
	p.Open += s.Open.Load()
	p.MessagesIn += s.MessagesIn.Load()
	p.MessagesOut += s.MessagesOut.Load()
	p.BytesIn += s.BytesIn.Load()
	p.BytesOut += s.BytesOut.Load()
	p.Published += s.Published.Load()
	p.Calls += s.Calls.Load()
	p.Refused += s.Refused.Sum()
	p.Dropped += s.Dropped.Sum()
	for author, n := range s.Unwritable.All() {
		if p.Untranslated == nil {
			p.Untranslated = make(map[string]uint64)
		}
		p.Untranslated[author] += n
	}
	h := s.Delays.Read()
	if p.delays == nil {
		p.delays = make([]uint64, len(h.Counts))
	}
	p.lowest = h.Lowest
	for i, n := range h.Counts {
		p.delays[i] += n
	}
}

// quantile returns the bound of the bucket in which a share of the values lies that came since a sample; nil if none came.
func quantile(p, before *LiveProtocol, share float64) *float64 {
	all := uint64(0)
	for i, n := range p.delays {
		all += n - min(n, before.delays[i])
	}
	want, sofar := uint64(math.Ceil(float64(all)*share)), uint64(0)
	for i, n := range p.delays {
		if sofar += n - min(n, before.delays[i]); all > 0 && sofar >= want {
			bound := math.Exp2(float64(p.lowest) + float64(min(i, len(p.delays)-2))/perDouble)
			return &bound
		}
	}
	return nil
}
