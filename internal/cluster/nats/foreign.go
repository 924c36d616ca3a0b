package nats

import (
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
)

const (
	// foreignNode stands for all callers that are no nodes. No node has such an id.
	foreignNode core.NodeID = "nats"
	// foreignGroup is the queue group of all nodes that offer a service: one of them is asked.
	foreignGroup = "pw"
	// foreignCalls bounds the calls of such callers that wait for an answer.
	foreignCalls = 65_536
	// foreignTimeout is how long such a caller waits, if it does not say.
	foreignTimeout = 30 * time.Second

	// maxForeignFailure bounds the code and the text of a failure: an answerer can fail with any.
	maxForeignFailure = 21 << 10

	// The headers of a failure, as NATS' own services have them.
	foreignCode = "Nats-Service-Error-Code"
	foreignText = "Nats-Service-Error"
)

// foreign lets programs that are no nodes call services: `nats request pw.s.<service>`. Any
// goroutine.
type foreign struct {
	// Static after construction.
	subjects subjects
	stats    *core.ClusterStats
	out      *outbox
	cluster  core.Cluster // static after Start

	mu      sync.Mutex
	offered map[string]*heard // by subject
	nc      *natsgo.Conn      // nil while there is none
	ch      chan *natsgo.Msg
	calls   map[core.CallID]foreignCall
	swept   time.Time // when calls that nobody answers were removed
}

// foreignCall is a call that waits for its answer.
type foreignCall struct {
	reply string
	until time.Time
}

func newForeign(s subjects, stats *core.ClusterStats, out *outbox) *foreign {
	return &foreign{subjects: s, stats: stats, out: out, offered: make(map[string]*heard), calls: make(map[core.CallID]foreignCall)}
}

// offer says that a service begins or ceases to be offered here. Each beginning has its end.
func (f *foreign) offer(service string, on bool) {
	subject := f.subjects.service(service)
	if len(subject) > maxSubject {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.offered[subject]
	switch {
	case on && h == nil:
		h = &heard{n: 1}
		f.offered[subject] = h
		f.subscribe(subject, h)
	case on:
		h.n++
	case h == nil:
	default:
		if h.n--; h.n > 0 {
			return
		}
		delete(f.offered, subject)
		if h.sub != nil {
			_ = h.sub.Unsubscribe()
		}
	}
}

func (f *foreign) subscribe(subject string, h *heard) {
	if f.nc != nil {
		h.sub, _ = f.nc.ChanQueueSubscribe(subject, foreignGroup, f.ch)
	}
}

// attach subscribes all on a connection; nil is the end of one.
func (f *foreign) attach(nc *natsgo.Conn, ch chan *natsgo.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nc, f.ch = nc, ch
	for subject, h := range f.offered {
		h.sub = nil
		f.subscribe(subject, h)
	}
}

// asked handles a call.
func (f *foreign) asked(m *natsgo.Msg) {
	service, ok := f.subjects.serviceOf(nil, m.Subject)
	p, err := payloadOf(m)
	timeout, timeoutErr := timeoutOf(m)
	if !ok || err != nil || timeoutErr != nil || !utf8.Valid(service) {
		f.stats.Refused.Inc(core.ReasonMalformed)
		f.reply(m.Reply, core.Payload{}, core.Failure{Code: core.Invalid, Text: "the request cannot be read"})
		return
	}
	if timeout == 0 {
		timeout = foreignTimeout
	}
	q := core.Question{Service: service, Payload: p, Timeout: timeout}
	if m.Reply != "" {
		if q.Call, ok = f.remember(m.Reply, timeout); !ok {
			f.stats.Refused.Inc(core.ReasonOverload)
			f.reply(m.Reply, core.Payload{}, core.Failure{Code: core.Overloaded, Text: "too many calls wait for their answers"})
			return
		}
	}
	f.cluster.Asked(foreignNode, q)
}

// remember notes where an answer goes. ok is false if there are too many.
func (f *foreign) remember(reply string, timeout time.Duration) (id core.CallID, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.swept) > time.Second {
		f.swept = now
		for id, c := range f.calls {
			if now.After(c.until) {
				delete(f.calls, id)
			}
		}
	}
	if len(f.calls) >= foreignCalls {
		return core.CallID{}, false
	}
	id = core.NewCallID()
	// The engine ends the call itself when its time is over, and answers so.
	f.calls[id] = foreignCall{reply: reply, until: now.Add(timeout + time.Minute)}
	return id, true
}

// answer answers a call of asked.
func (f *foreign) answer(id core.CallID, p core.Payload, failure core.Failure) {
	f.mu.Lock()
	c, ok := f.calls[id]
	delete(f.calls, id)
	f.mu.Unlock()
	if ok {
		f.reply(c.reply, p, failure)
	}
}

func (f *foreign) reply(to string, p core.Payload, failure core.Failure) {
	if to == "" {
		return
	}
	kind, data := pack(p)
	if failure.Failed() {
		kind, data = "", nil
	}
	h := withKind(failureHeader(failure), kind)
	err := f.out.put(outgoing{header: h, publish: true}, func(dst []byte) []byte { return append(dst, to...) }, data)
	if errors.Is(err, errTooLarge) && !failure.Failed() {
		f.reply(to, core.Payload{}, core.Failure{Code: core.Internal, Text: "the answer is larger than the server takes"})
	}
}

// failureHeader returns the header of a failure; nil if f is none.
func failureHeader(f core.Failure) natsgo.Header {
	if !f.Failed() {
		return nil
	}
	short := func(text string) string {
		return escapeText(strings.ToValidUTF8(text[:min(len(text), maxForeignFailure)], ""))
	}
	return natsgo.Header{foreignCode: {short(string(f.Code))}, foreignText: {short(f.Text)}}
}
