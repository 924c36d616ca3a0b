package engine

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

// What the broker's topics for calls (core.CallTopic and so on) stand for in the language:
//
//	publish $call/<ref>/<service>    Call; its outcome is a Message on $reply/<ref>, or
//	                                 on $error/<ref> with the failure as JSON
//	subscribe $serve/<service>       Offer, shared; unsubscribe is the Withdraw
//	                                 a Request is a Message on $request/<id>/<service>,
//	                                 and OfferLost one on $serve/<service>
//	publish $reply/<id>              Reply
//	publish $error/<id>              Reply with the failure that the payload stands for
//
// These messages go to the one connection alone, under As 0. Ids are the canonical
// text of a CallID; the nil UUID is that of a request which wants no answer.

// maxTopicRef bounds the ref of a topic-borne call, in bytes.
const maxTopicRef = 128

// fromTopic returns the Call, Reply, Offer or Withdraw that c stands for, and c itself
// if it stands for none. It borrows what c borrows, and lies in room unless it is c.
func fromTopic(c, room *core.Command) *core.Command {
	switch c.Verb {
	case core.Publish:
		return fromPublish(c, room)
	case core.Subscribe, core.Unsubscribe:
		service, found := bytes.CutPrefix(c.Topic, []byte(core.ServeTopic))
		if !found || len(service) == 0 || c.Pattern && core.HasWildcard(string(service)) {
			return c
		}
		verb := core.Offer
		if c.Verb == core.Unsubscribe {
			verb = core.Withdraw
		}
		*room = core.Command{Verb: verb, Services: [][]byte{service}, Source: c.Source}
		return room
	}
	return c
}

func fromPublish(c, room *core.Command) *core.Command {
	if rest, found := bytes.CutPrefix(c.Topic, []byte(core.CallTopic)); found {
		ref, service, _ := bytes.Cut(rest, []byte("/"))
		if len(ref) == 0 || len(ref) > maxTopicRef || len(service) == 0 {
			return c
		}
		*room = core.Command{Verb: core.Call, Ref: ref, Topic: service, Payload: c.Payload, Headers: c.Headers, Source: c.Source}
		return room
	}
	if text, found := bytes.CutPrefix(c.Topic, []byte(core.ReplyTopic)); found {
		// What is no id is the nil UUID, which nobody was asked.
		id, _ := core.ParseCallID(text)
		*room = core.Command{Verb: core.Reply, Call: id, Payload: c.Payload, Source: c.Source}
		return room
	}
	if text, found := bytes.CutPrefix(c.Topic, []byte(core.ErrorTopic)); found {
		id, _ := core.ParseCallID(text)
		*room = core.Command{Verb: core.Reply, Call: id, Failure: core.FailureFrom(c.Payload), Source: c.Source}
		return room
	}
	return c
}

// publishByTopic carries out a publish to one of the broker's topics. That of a call
// is done as soon as it is understood; all else about the call, also that it failed
// at once, is told on its own topics.
func (p *peer) publishByTopic(c *core.Command) {
	var room core.Command
	switch m := fromTopic(c, &room); {
	case m.Verb == core.Call:
		p.tellDone(c)
		p.callByTopic(m)
	case m.Verb == core.Reply:
		p.conclude(c, p.reply(m))
	case bytes.HasPrefix(c.Topic, []byte(core.CallTopic)):
		p.refuse(c, refusedNoRef)
	default:
		p.refuse(c, refusedReserved)
	}
}

// callByTopic makes a call whose publish is done.
func (p *peer) callByTopic(m *core.Command) {
	r := checkMessage(p.endpoint.Limits.Get(), m.Topic, m.Payload)
	if r.Failed() {
		p.endpoint.Stats.Refused.Inc(r.reason)
	} else if r = p.placeCall(m, true); r.Failed() {
		p.endpoint.Stats.CallsFailed.Inc(r.reason)
	}
	if r.Failed() {
		p.noteRefused(m.Verb, m.Topic, r)
		p.link.Tell(core.FailureByTopic(m.Ref, r.Failure))
	}
}

// deny refuses a command that an authorizer denied: a topic-borne call like any of
// its failures, all else as it is.
func (p *peer) deny(c *core.Command) {
	var room core.Command
	m := fromTopic(c, &room)
	if c.Verb != core.Publish || m.Verb != core.Call {
		p.refuse(c, refusedDenied)
		return
	}
	p.endpoint.Stats.Refused.Inc(refusedDenied.reason)
	p.noteRefused(m.Verb, m.Topic, refusedDenied)
	p.tellDone(c)
	p.link.Tell(core.FailureByTopic(m.Ref, refusedDenied.Failure))
}

// subscribeByTopic carries out a subscription to one of the broker's topics.
func (p *peer) subscribeByTopic(c *core.Command) {
	var room core.Command
	switch m := fromTopic(c, &room); {
	case m.Verb == core.Offer:
		p.offer(m, c, true)
	case bytes.HasPrefix(c.Topic, []byte(core.ServeTopic)):
		p.refuse(c, refusedNoName)
	default:
		p.refuse(c, refusedReserved)
	}
}

// withdrawByTopic ends all offers that were made by topics.
func (p *peer) withdrawByTopic() {
	if p.rare == nil {
		return
	}
	for service, o := range p.rare.offers {
		if o.byTopic {
			p.unshare(service)
			p.noteWithdrawn(nil, service, refusal{})
		}
	}
}

// Unwritten tells a caller by topic that the answer cannot be written for it: else it would wait in vain.
func (p *peer) Unwritten(ev core.Event) {
	ref, isAnswer := bytes.CutPrefix(ev.Topic, []byte(core.ReplyTopic))
	if ev.Kind != core.Message || !isAnswer {
		return
	}
	p.endpoint.Stats.CallsFailed.Inc(refusedUnreadable.reason)
	p.link.Tell(core.FailureByTopic(ref, refusedUnreadable.Failure))
}
