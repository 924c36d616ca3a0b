package nats

import (
	"log/slog"
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// line is where subscriptions are made: a connection, a queue group that no other connection
// has, and the intake's channel. With a queue group of its own a node gets one copy of a
// message, however many of its subscriptions match.
type line struct {
	nc    *natsgo.Conn
	group string
	ch    chan *natsgo.Msg
}

// interest is what somebody hears here, as subscriptions. Several interests can have one
// subject. Any goroutine.
type interest struct {
	// Static after construction.
	subjects subjects
	stats    *core.ClusterStats
	log      *slog.Logger

	mu    sync.Mutex
	heard map[string]*heard // by subject
	line  *line             // nil while there is no connection
}

// heard is a subject and how many interests have it.
type heard struct {
	n   int
	sub *natsgo.Subscription // nil while there is no connection
}

func newInterest(s subjects, stats *core.ClusterStats, log *slog.Logger) *interest {
	return &interest{subjects: s, stats: stats, log: log, heard: make(map[string]*heard)}
}

func (in *interest) change(changes []core.Interest) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, c := range changes {
		subject, ok := in.subjects.interest(c)
		if !ok {
			continue
		}
		if len(subject) > maxSubject {
			if c.On {
				in.stats.Dropped.Inc(core.ReasonTooLarge)
				in.log.Warn("a topic is too long for the cluster: messages of other nodes do not reach it",
					logging.Bounded("", core.ReasonTooLarge.String()), logging.Quoted("topic", c.Prefix+c.Name))
			}
			continue
		}
		if c.On {
			in.on(subject)
		} else {
			in.off(subject)
		}
	}
}

// on and off are called with mu held.
func (in *interest) on(subject string) {
	h := in.heard[subject]
	if h == nil {
		h = new(heard)
		in.heard[subject] = h
		in.subscribe(subject, h)
	}
	h.n++
}

func (in *interest) off(subject string) {
	h := in.heard[subject]
	if h == nil {
		return
	}
	if h.n--; h.n > 0 {
		return
	}
	delete(in.heard, subject)
	if h.sub != nil {
		// It fails only if the connection is gone, and the subscription with it.
		_ = h.sub.Unsubscribe()
	}
}

// subscribe fails only if the connection is gone; then attach comes again.
func (in *interest) subscribe(subject string, h *heard) {
	if in.line != nil {
		h.sub, _ = in.line.nc.ChanQueueSubscribe(subject, in.line.group, in.line.ch)
	}
}

// attach subscribes all on a connection; nil is the end of one.
func (in *interest) attach(l *line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.line = l
	for subject, h := range in.heard {
		h.sub = nil
		in.subscribe(subject, h)
	}
}
