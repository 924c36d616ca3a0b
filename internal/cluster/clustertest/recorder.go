package clustertest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/polywire/polywire/core"
)

// Message is a message that a node got.
type Message struct {
	Topic   string
	Payload core.Payload
	Headers string
}

// Asked is a call that a node got.
type Asked struct {
	From core.NodeID
	core.Question
}

// Answered is an answer that a node got.
type Answered struct {
	From    core.NodeID
	Call    core.CallID
	Payload core.Payload
	Failure core.Failure
	Reason  core.Reason
}

// Cancelled is a call that is not waited for any more.
type Cancelled struct {
	From core.NodeID
	Call core.CallID
}

// Owner is who has a channel, and with which services; the zero NodeID is the node itself.
type Owner struct {
	By       core.NodeID
	Services string // with spaces between them
}

// Recorder is a [core.Cluster] that keeps what it is called with, and what follows from it. Any
// goroutine.
type Recorder struct {
	name string // static

	mu       sync.Mutex
	messages []Message
	services map[core.NodeID]map[string]bool
	owners   map[string]Owner
	order    []string // the channels in the order in which they were given
	lost     []string
	asked    []Asked
	answers  []Answered
	cancels  []Cancelled
	joined   map[core.NodeID]bool // and not gone
	gone     map[core.NodeID]int  // how often
	ended    []string             // sessions
	faults   []string
	closed   bool
	answer   func(from core.NodeID, q core.Question)
}

var _ core.Cluster = (*Recorder)(nil)

// NewRecorder returns a Recorder; name is for its faults.
func NewRecorder(name string) *Recorder {
	return &Recorder{name: name, services: make(map[core.NodeID]map[string]bool), owners: make(map[string]Owner), joined: make(map[core.NodeID]bool), gone: make(map[core.NodeID]int)}
}

func (r *Recorder) fault(format string, args ...any) {
	r.faults = append(r.faults, r.name+": "+fmt.Sprintf(format, args...))
}

// enter locks the recorder for one call.
func (r *Recorder) enter() {
	r.mu.Lock()
	if r.closed {
		r.fault("called after Close")
	}
}

// Together runs f.
func (r *Recorder) Together(f func()) { f() }

// Published keeps a message.
func (r *Recorder) Published(topic []byte, p core.Payload, headers []byte) {
	r.enter()
	defer r.mu.Unlock()
	if err := p.Check(); err != nil {
		r.fault("a message on %q: %v", topic, err)
	}
	r.messages = append(r.messages, Message{string(topic), p.Clone(), string(headers)})
}

// Served keeps which services a node has.
func (r *Recorder) Served(by core.NodeID, changes []core.Service) {
	r.enter()
	defer r.mu.Unlock()
	if r.services[by] == nil {
		r.services[by] = make(map[string]bool)
	}
	for _, c := range changes {
		if r.services[by][c.Name] == c.On {
			r.fault("%s tells twice that service %q is %v", by, c.Name, c.On)
		}
		if c.On {
			r.services[by][c.Name] = true
		} else {
			delete(r.services[by], c.Name)
		}
	}
}

// Owned keeps who has a channel.
func (r *Recorder) Owned(by core.NodeID, c core.Claim) {
	r.enter()
	defer r.mu.Unlock()
	r.own(by, c)
}

func (r *Recorder) own(by core.NodeID, c core.Claim) {
	for other, o := range r.owners {
		if other == c.Channel || strings.HasPrefix(other, c.Channel+"/") || strings.HasPrefix(c.Channel, other+"/") {
			r.fault("%q is given to %q, but %q has %q", c.Channel, by, o.By, other)
		}
	}
	r.owners[c.Channel] = Owner{by, strings.Join(c.Services, " ")}
	r.order = append(r.order, c.Channel)
}

// Grant returns what to pass to Claim: it keeps that the node has the channel, unless it
// returns a failure.
func (r *Recorder) Grant(c core.Claim, f core.Failure) func() core.Failure {
	return func() core.Failure {
		r.enter()
		defer r.mu.Unlock()
		if !f.Failed() {
			r.own("", c)
		}
		return f
	}
}

// Released is called before Release: the node has the channel no longer.
func (r *Recorder) Released(channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owners, channel)
}

// Freed keeps that a channel is free.
func (r *Recorder) Freed(by core.NodeID, channel string) {
	r.enter()
	defer r.mu.Unlock()
	if o, ok := r.owners[channel]; !ok || o.By != by {
		r.fault("%q of %s is freed, but %v has it", channel, by, o)
	}
	delete(r.owners, channel)
}

// Lost keeps that the node has lost a channel.
func (r *Recorder) Lost(channel string) {
	r.enter()
	defer r.mu.Unlock()
	if o, ok := r.owners[channel]; !ok || o.By != "" {
		r.fault("%q is lost, but %v has it", channel, o)
	}
	delete(r.owners, channel)
	r.lost = append(r.lost, channel)
}

// Asked keeps a call.
func (r *Recorder) Asked(from core.NodeID, q core.Question) {
	r.enter()
	q.Service, q.Payload = bytes.Clone(q.Service), q.Payload.Clone()
	r.asked = append(r.asked, Asked{from, q})
	answer := r.answer
	r.mu.Unlock()
	if answer != nil {
		answer(from, q)
	}
}

// AnswerBy says what calls of other nodes are passed to from now on.
func (r *Recorder) AnswerBy(answer func(from core.NodeID, q core.Question)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Answered keeps an answer.
func (r *Recorder) Answered(from core.NodeID, call core.CallID, o core.Outcome) {
	r.enter()
	defer r.mu.Unlock()
	r.answers = append(r.answers, Answered{from, call, o.Answer.Clone(), o.Failure, o.Reason})
}

// Cancelled keeps that a call is not waited for any more.
func (r *Recorder) Cancelled(from core.NodeID, call core.CallID) {
	r.enter()
	defer r.mu.Unlock()
	r.cancels = append(r.cancels, Cancelled{from, call})
}

// SessionEnded keeps that a session was ended elsewhere.
func (r *Recorder) SessionEnded(key string) {
	r.enter()
	defer r.mu.Unlock()
	r.ended = append(r.ended, key)
}

// Joined keeps that a node can be reached.
func (r *Recorder) Joined(n core.NodeID) {
	r.enter()
	defer r.mu.Unlock()
	if r.joined[n] {
		r.fault("%s joins twice", n)
	}
	r.joined[n] = true
}

// Gone forgets what a node has.
func (r *Recorder) Gone(n core.NodeID) {
	r.enter()
	defer r.mu.Unlock()
	if !r.joined[n] {
		r.fault("%s is gone, and had not joined", n)
	}
	delete(r.joined, n)
	r.gone[n]++
	delete(r.services, n)
	maps.DeleteFunc(r.owners, func(_ string, o Owner) bool { return o.By == n })
}

// Close notes that no call may come any more.
func (r *Recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
}

// Faults returns what was wrong with how the recorder was called.
func (r *Recorder) Faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.faults)
}

// Got returns the messages on a topic.
func (r *Recorder) Got(topic string) []Message { return r.got(topic) }

// GotAll returns the messages whose topic has a prefix, in their order.
func (r *Recorder) GotAll(prefix string) []Message { return r.gotAll(prefix) }

// Knows reports whether another node has a channel.
func (r *Recorder) Knows(channel string) bool {
	o, ok := r.owner(channel)
	return ok && o.By != ""
}

// IsFree reports whether a channel was given, and nobody has it now.
func (r *Recorder) IsFree(channel string) bool {
	_, ok := r.owner(channel)
	return !ok && slices.Contains(r.given(), channel)
}

// Given returns the channels of all nodes in the order in which they were given, and Losses those
// that the node has lost.
func (r *Recorder) Given() []string { return r.given() }

// Losses is Given for what was lost.
func (r *Recorder) Losses() []string { return r.losses() }

// HasLost reports whether the node has lost a channel.
func (r *Recorder) HasLost(channel string) bool { return slices.Contains(r.losses(), channel) }

// Serves reports whether another node offers a service.
func (r *Recorder) Serves(service string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, services := range r.services {
		if services[service] {
			return true
		}
	}
	return false
}

// Asks returns how many calls the node got.
func (r *Recorder) Asks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// Ends returns how the calls of the node have ended.
func (r *Recorder) Ends() []Answered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.answers)
}

// Departures returns how often a node has gone.
func (r *Recorder) Departures() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.gone {
		n += times
	}
	return n
}

// got returns the messages on a topic.
func (r *Recorder) got(topic string) []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Message
	for _, m := range r.messages {
		if m.Topic == topic {
			all = append(all, m)
		}
	}
	return all
}

// gotAll returns the messages whose topic has a prefix, in their order.
func (r *Recorder) gotAll(prefix string) []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Message
	for _, m := range r.messages {
		if strings.HasPrefix(m.Topic, prefix) {
			all = append(all, m)
		}
	}
	return all
}

// servicesOf returns the services of a node, sorted.
func (r *Recorder) servicesOf(n core.NodeID) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.services[n]))
}

// owner returns who has a channel; ok is false if nobody has.
func (r *Recorder) owner(channel string) (o Owner, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok = r.owners[channel]
	return o, ok
}

func (r *Recorder) given() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

func (r *Recorder) losses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lost)
}

func (r *Recorder) goneTimes(n core.NodeID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone[n]
}

func (r *Recorder) call(id core.CallID) (Asked, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.asked {
		if a.Call == id {
			return a, true
		}
	}
	return Asked{}, false
}

func (r *Recorder) asks(service string) []Asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Asked
	for _, a := range r.asked {
		if string(a.Service) == service {
			all = append(all, a)
		}
	}
	return all
}

func (r *Recorder) answersTo(id core.CallID) []Answered {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Answered
	for _, a := range r.answers {
		if a.Call == id {
			all = append(all, a)
		}
	}
	return all
}

func (r *Recorder) isCancelled(from core.NodeID, id core.CallID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.cancels, Cancelled{from, id})
}
