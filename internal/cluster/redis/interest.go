package redis

import (
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

const (
	// subscribeBatch and subscribeBytes bound the names of one command.
	subscribeBatch = 512
	subscribeBytes = 64 << 10
	// maxTopic bounds a topic.
	maxTopic = 32 << 10
)

// interest is what somebody hears here, as subscriptions. Several interests can have one name.
// Any goroutine.
type interest struct {
	// Static after construction.
	prefix string
	stats  *core.ClusterStats
	log    *slog.Logger

	mu     sync.Mutex
	topics map[string]int // how many have it
	globs  map[string]int
	line   *wire // nil while there is no connection
}

func newInterest(prefix string, stats *core.ClusterStats, log *slog.Logger) *interest {
	return &interest{prefix: prefix, stats: stats, log: log, topics: make(map[string]int), globs: make(map[string]int)}
}

// change begins and ends interests. It blocks while the server takes no more.
func (in *interest) change(changes []core.Interest) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var on, off, globsOn, globsOff []string
	for _, c := range changes {
		name, ok, all := c.Prefix+c.Name, true, in.topics
		onList, offList := &on, &off
		if c.Pattern && core.HasWildcard(c.Name) {
			name, ok = globOf(c)
			all, onList, offList = in.globs, &globsOn, &globsOff
		} else if strings.HasPrefix(name, in.prefix) {
			in.refuse(c, core.ReasonReserved, "a topic begins like the channels of the cluster: messages of other nodes do not reach it")
			continue
		}
		if len(name) > maxTopic || !utf8.ValidString(name) {
			in.refuse(c, core.ReasonTooLarge, "a topic is too long for the cluster: messages of other nodes do not reach it")
			continue
		}
		if !ok {
			continue
		}
		switch {
		case c.On:
			if all[name]++; all[name] == 1 {
				*onList = append(*onList, name)
			}
		case all[name] > 1:
			all[name]--
		case all[name] == 1:
			delete(all, name)
			*offList = append(*offList, name)
		}
	}
	in.tell("UNSUBSCRIBE", off)
	in.tell("PUNSUBSCRIBE", globsOff)
	in.tell("SUBSCRIBE", on)
	in.tell("PSUBSCRIBE", globsOn)
}

func (in *interest) refuse(c core.Interest, why core.Reason, text string) {
	if c.On {
		in.stats.Dropped.Inc(why)
		in.log.Warn(text, logging.Bounded("", why.String()), logging.Quoted("topic", c.Prefix+c.Name)) //nolint:sloglint // the caller's literal
	}
}

// tell sends a command for names. If the connection fails its reader ends it, and attach comes
// again. It is called with mu held.
func (in *interest) tell(command string, names []string) {
	for len(names) > 0 && in.line != nil {
		words, size := []string{command}, 0
		for len(names) > 0 && len(words) <= subscribeBatch && (size == 0 || size+len(names[0]) <= subscribeBytes) {
			size += len(names[0])
			words, names = append(words, names[0]), names[1:]
		}
		if err := in.line.send(words...); err != nil {
			in.line.close()
			in.line = nil
		}
	}
}

// attach subscribes all on a new connection.
func (in *interest) attach(w *wire) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.line = w
	for command, all := range map[string]map[string]int{"SUBSCRIBE": in.topics, "PSUBSCRIBE": in.globs} {
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		in.tell(command, names)
	}
}

// detach is the end of a connection.
func (in *interest) detach() {
	in.mu.Lock()
	in.line = nil
	in.mu.Unlock()
}
