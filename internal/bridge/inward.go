package bridge

import (
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// server is one connection to the old server.
type server struct {
	bridge *Bridge
	client *client.Client
	topic  string         // what is heard is on this topic; empty if the old server says it
	wanted []core.Command // what is subscribed and offered there; static

	batch batch

	// Guarded by mu.
	mu    sync.Mutex
	state []asked // by index of wanted
	up    bool
}

// asked says how far something wanted at the old server is.
type asked uint8

const (
	unasked asked = iota
	asking
	granted
	said // the old server does not report whether it is granted: it is until something else shows
)

// askPause is how often what the old server has refused is asked for again, and what was refused here. Another
// one may have left what this bridge is to own there: the node that ran the bridge before may be one that the
// old server has not missed yet.
const askPause = 3 * time.Second

// prepare makes the connections to the old server: one, or if it does not say the topic of a message, one
// for each topic. They do not connect yet.
func (b *Bridge) prepare() {
	b.echoes = echoes{named: b.o.Format.NamesTopics(), seed: maphash.MakeSeed(), marks: make(map[uint64]count)}
	if b.o.Format.HearsItself() {
		b.echoes.on = b.hears
	}
	first := &server{bridge: b, wanted: b.offers()}
	b.servers = []*server{first}
	for i, topic := range b.o.Hear {
		s := first
		if !b.echoes.named {
			if i > 0 {
				s = &server{bridge: b}
				b.servers = append(b.servers, s)
			}
			s.topic = topic
		}
		s.wanted = append(s.wanted, core.Command{Verb: core.Subscribe, Topic: []byte(topic), Pattern: true})
	}
	for _, s := range b.servers {
		s.state = make([]asked, len(s.wanted))
		o := b.o.Server
		o.Codec, o.Heard, o.Lull, o.Changed, o.Field, o.Logger = b.o.Format.NewClientCodec, s.heard, s.lull, s.changed, s.field, nil
		o.FailAway, o.Queued = true, &b.o.Endpoint.Stats.Queued
		o.Unconfirmed = func(n int) { b.o.Endpoint.Stats.Dropped.Add(core.ReasonGone, uint64(n)) }
		o.RestoresNothing = true
		o.Header = o.Header.Clone()
		o.Header.Set(core.BridgeHeader, b.o.Neighbours.Mark())
		s.client = client.Prepare(o)
	}
}

// hears reports whether the bridge hears a topic at the old server.
func (b *Bridge) hears(topic []byte) bool {
	for _, pattern := range b.o.Hear {
		if pattern == string(topic) || core.HasWildcard(pattern) && core.MatchPattern(pattern, topic) {
			return true
		}
	}
	return false
}

// offers returns what the bridge owns and answers at the old server.
func (b *Bridge) offers() (all []core.Command) {
	left := make(map[string]bool)
	for _, service := range b.o.Answered {
		left[service] = true
	}
	for _, channel := range b.o.Owned {
		c := core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(channel)}
		for _, service := range b.o.Answered {
			if owner, ok := b.channelOf(service); !ok || owner != channel {
				continue
			}
			delete(left, service)
			c.Services = append(c.Services, below(channel, service))
		}
		c.Topics = b.topicsOf(channel)
		all = append(all, c)
	}
	for _, service := range b.o.Answered {
		if left[service] {
			all = append(all, core.Command{Verb: core.Offer, Services: [][]byte{[]byte(service)}})
		}
	}
	return all
}

// topicsOf returns the topics of an owned channel that the bridge knows by name.
func (b *Bridge) topicsOf(channel string) (topics [][]byte) {
	all := slices.Concat(b.o.Tell, b.o.Hear)
	slices.Sort(all)
	for _, topic := range slices.Compact(all) {
		if owner, ok := b.channelOf(topic); ok && owner == channel && !core.HasWildcard(topic) {
			topics = append(topics, below(channel, topic))
		}
	}
	return topics
}

// below returns the name of a topic or service below a channel that it lies in.
func below(channel, address string) []byte {
	return []byte(strings.TrimPrefix(strings.TrimPrefix(address, channel), "/"))
}

// field looks for whom the response to an upgrade is from.
func (s *server) field(name, value []byte) error {
	if !strings.EqualFold(string(name), core.BridgeHeader) {
		return nil
	}
	return s.bridge.o.Neighbours.reached(s, string(value))
}

// leave ends the connection, which must not be; another one is tried. Any goroutine; it does not block.
func (s *server) leave(err error) {
	s.bridge.loop.post(func() { s.client.Drop(err) })
}

// changed hears that a connection is made or has ended.
func (s *server) changed(err error) {
	b := s.bridge
	if err != nil {
		b.o.Neighbours.left(s)
	} else if why := b.o.Neighbours.allowed(s); why != nil {
		s.leave(why)
	}
	s.mu.Lock()
	was := s.up
	s.up = err == nil
	if err != nil {
		for i, state := range s.state {
			if state != asking { // what is asked ends, or waits for the next connection
				s.state[i] = unasked
			}
		}
	}
	s.mu.Unlock()
	if err != nil {
		b.trouble.Store(&err)
	}
	switch {
	case err == nil && !was:
		s.ask() // before anything is told: to publish, the bridge may have to own a channel
		if b.connected.Add(1) == int64(len(b.servers)) {
			b.trouble.Store(nil)
			b.log.Info("the bridge is connected", slog.String("url", client.SafeURL(b.o.Server.URL)))
		}
		if s == b.servers[0] {
			b.loop.post(b.offerHere)
		}
	case err != nil && was:
		b.connected.Add(-1)
		b.log.Warn("the bridge has lost the old server", logging.Bounded("", ""), slog.Any("error", err))
		if s == b.servers[0] {
			b.loop.post(b.withdrawHere)
		}
	case err != nil:
		b.log.Warn("the bridge cannot reach the old server", logging.Bounded("", ""), slog.Any("error", err))
	}
}

// offerHere offers here what the old server answers, unless that is done: each service by itself, since
// somebody may own one of them. On the loop.
func (b *Bridge) offerHere() {
	for i, service := range b.o.Offered {
		if !b.offered[i] {
			b.offered[i] = true
			b.peer.Do(core.Command{Verb: core.Offer, Topic: []byte(service), Services: [][]byte{[]byte(service)}})
		}
	}
}

// withdrawHere ends offerHere: while the old server is away, calls fail at once. On the loop.
func (b *Bridge) withdrawHere() {
	for i, service := range b.o.Offered {
		if b.offered[i] {
			b.offered[i] = false
			b.peer.Do(core.Command{Verb: core.Withdraw, Services: [][]byte{[]byte(service)}})
		}
	}
}

// notOffered notes that a service is not offered here, which is tried again. Any goroutine.
func (b *Bridge) notOffered(service string) {
	b.loop.post(func() {
		if i := slices.Index(b.o.Offered, service); i >= 0 {
			b.offered[i] = false
		}
	})
}

// ask subscribes and offers at the old server what is not granted there.
func (s *server) ask() {
	for i, cmd := range s.wanted {
		if !s.turn(i, unasked, asking) {
			continue
		}
		done := func(ev core.Event, err error) {
			next := granted
			switch {
			case err != nil:
				next = unasked
			case ev.Kind != core.Done:
				next = said
			}
			s.turn(i, asking, next)
			if err != nil && !errors.Is(err, client.ErrLost) && !errors.Is(err, client.ErrAway) && !errors.Is(err, client.ErrClosed) {
				s.bridge.log.Warn("the old server refuses", logging.Bounded("", ""), slog.String("verb", cmd.Verb.String()), logging.Quoted("topic", string(cmd.Topic)), slog.Any("error", err))
			}
		}
		if err := s.client.Post(cmd, done); err != nil {
			done(core.Event{}, err)
		}
	}
}

// askAgain asks for what the old server has refused, if it is there, and offers again what could not be offered
// here. On the loop.
func (b *Bridge) askAgain() {
	for i, s := range b.servers {
		s.mu.Lock()
		up := s.up
		s.mu.Unlock()
		if !up {
			continue
		}
		s.ask()
		if i == 0 {
			b.offerHere()
		}
	}
}

// lose notes that an offer is not granted any more.
func (s *server) lose(name string) {
	for i, cmd := range s.wanted {
		if cmd.Verb == core.Offer && (string(cmd.Channel) == name || len(cmd.Channel) == 0 && string(cmd.Services[0]) == name) {
			_ = s.turn(i, granted, unasked) || s.turn(i, said, unasked)
		}
	}
}

// loseUnsure notes that one of the channels is not granted of which the old server does not report it.
func (s *server) loseUnsure() {
	for i, cmd := range s.wanted {
		if cmd.Exclusive {
			s.turn(i, said, unasked)
		}
	}
}

// turn moves something wanted from one state to another, and reports whether it was in the first.
func (s *server) turn(i int, from, to asked) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state[i] != from {
		return false
	}
	s.state[i] = to
	return true
}

// heard takes what the old server says into the batch. On the client's goroutine or event loop.
func (s *server) heard(ev core.Event) {
	b := s.bridge
	if ev.Kind == core.Message || ev.Kind == core.Request {
		stats, size := b.o.Endpoint.Stats, ev.Payload.Size()
		stats.MessagesIn.Add(1)
		stats.BytesIn.Add(uint64(size))
		stats.SizesIn.Observe(size, 1)
	}
	if ev.Kind == core.Message && len(ev.Topic) == 0 {
		ev.Topic = []byte(s.topic)
	}
	s.batch.mu.Lock()
	defer s.batch.mu.Unlock()
	if s.batch.add(ev) {
		s.handleNow()
	}
}

// lull handles the batch, before the client waits for more, and returns what does the rest if that has to wait.
func (s *server) lull() (wait func()) {
	s.batch.mu.Lock()
	defer s.batch.mu.Unlock()
	if s.handleNow(); s.batch.left() == 0 {
		return nil
	}
	return s.handle
}

// handleNow handles the batch on the bridge's loop as far as that need not wait. The caller holds batch.mu.
func (s *server) handleNow() {
	b := s.bridge
	if b.o.Crowded() {
		return
	}
	if b.loop.now(s.batch.left(), b.o.Together, s.handleNext); s.batch.left() == 0 {
		s.batch.empty()
	}
}

// handle handles the batch on the bridge's loop, when there is room for what it publishes, and empties it.
func (s *server) handle() {
	s.batch.mu.Lock()
	defer s.batch.mu.Unlock()
	if b := s.bridge; b.o.Room(b.ctx) == nil {
		b.loop.times(s.batch.left(), b.o.Together, s.handleNext)
	}
	s.batch.empty()
}

// handleNext handles the next event of the batch; one that makes it panic is handled too. The caller holds batch.mu.
// On the bridge's loop.
func (s *server) handleNext() {
	s.batch.handled++
	s.bridge.heard(&s.batch.heard[s.batch.handled-1].ev)
}

// heard handles what the old server says. The event is borrowed. On the loop.
func (b *Bridge) heard(ev *core.Event) {
	switch ev.Kind {
	case core.Message:
		if b.echoes.heard(ev.Topic, ev.Payload) {
			return
		}
		if b.echoes.named && !b.hears(ev.Topic) {
			// Not every server sends only what was asked for: an original of webwire sends what its program wants,
			// and one of stocking what anybody says to the number of a connection.
			b.o.Endpoint.Stats.Refused.Inc(core.ReasonDenied)
			return
		}
		if !b.o.Leads() {
			// The node has stood still for so long that another one has heard this too.
			b.o.Endpoint.Stats.Dropped.Inc(core.ReasonGone)
			return
		}
		if len(ev.Topic) == 0 || core.Reserved(ev.Topic) {
			b.o.Endpoint.Stats.Refused.Inc(core.ReasonReserved)
			return
		}
		b.peer.Do(core.Command{Verb: core.Publish, Topic: ev.Topic, Payload: ev.Payload, Headers: ev.Headers, NotToSelf: true})
	case core.Request:
		// What the answer is said with comes back as Ref and As.
		c := core.Command{Verb: core.Call, Topic: ev.Topic, As: ev.As, Payload: ev.Payload, OneWay: ev.OneWay, Timeout: b.o.CallTimeout}
		call := ev.Call
		c.Ref = call[:]
		b.peer.Do(c)
	case core.Failed, core.OfferLost:
		switch {
		case ev.Kind == core.OfferLost:
			b.servers[0].lose(string(ev.Topic))
		case ev.Failure.Code == core.NotOwner:
			b.servers[0].loseUnsure()
		}
		b.o.Endpoint.Stats.Dropped.Inc(core.ReasonDenied)
		b.log.Warn("the old server refuses", logging.Bounded("", ""), slog.Any("error", ev.Failure))
	}
}

// answer says to the old server how a call of its client has ended.
func (b *Bridge) answer(ev core.Event) {
	if len(ev.Ref) != len(core.CallID{}) {
		return
	}
	reply := core.Command{Verb: core.Reply, Call: core.CallID(ev.Ref), Topic: ev.Topic, As: ev.As, Payload: ev.Payload, Failure: ev.Failure}
	b.reply(reply.Clone())
}

// reply says an answer to the old server, or if it cannot be said, a failure: who has asked would wait for ever. cmd
// owns its bytes.
func (b *Bridge) reply(cmd core.Command) {
	done := func(_ core.Event, err error) {
		_, unsayable := errors.AsType[*core.Unsayable](err)
		_, big := errors.AsType[*core.TooBig](err)
		switch {
		case err == nil:
		case unsayable && cmd.Failure.Failed():
			// The format has no failed answers: the failure is the answer.
			cmd.Payload = core.Payload{Kind: core.JSON, Data: core.AppendFailure(nil, cmd.Failure)}
			cmd.Failure = core.Failure{}
			b.post(cmd, b.told)
		case (unsayable || big) && !cmd.Failure.Failed():
			b.lost(err)
			cmd.Payload, cmd.Failure = core.Payload{}, core.Failure{Code: core.Invalid, Text: "the answer is too big for the server"}
			if unsayable {
				cmd.Failure.Text = "the answer cannot be written in this format"
			}
			b.reply(cmd)
		default:
			b.lost(err)
		}
	}
	b.post(cmd, done)
}

// post says a command to the old server; done is told the outcome, also that the command cannot be queued.
func (b *Bridge) post(cmd core.Command, done func(core.Event, error)) {
	if err := b.servers[0].client.Post(cmd, done); err != nil {
		done(core.Event{}, err)
	}
}
