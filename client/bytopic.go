package client

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/polywire/polywire/core"
)

// ByTopic lets a client of a format that has no words for calls, or for answering them, do both at a
// broker that has topics for them (docs/formats/README.md, "Calls across formats"). What inner has words
// for it says itself.
//
//	Offer      subscribe $serve/SERVICE          Request    a message on $request/ID/SERVICE
//	Reply      publish $reply/ID or $error/ID    OfferLost  a message on $serve/SERVICE
//	Call       publish $call/REF/SERVICE         outcome    a message on $reply/REF or $error/REF
func ByTopic(inner core.ClientCodec) core.ClientCodec {
	return &byTopic{ClientCodec: inner}
}

// innermost returns the codec of a format, which may be able to do more than a [core.ClientCodec].
func innermost(codec core.ClientCodec) core.ClientCodec {
	if b, ok := codec.(*byTopic); ok {
		return b.ClientCodec
	}
	return codec
}

type byTopic struct {
	core.ClientCodec

	calls core.Pending // owned by the goroutine that uses it
}

// Say says a command, or what stands for it.
func (b *byTopic) Say(c core.Command, say func(core.Frame)) (answered bool, err error) {
	answered, err = b.ClientCodec.Say(c, say)
	if _, unsayable := errors.AsType[*core.Unsayable](err); !unsayable {
		return answered, err
	}
	switch {
	case c.Verb == core.Offer || c.Verb == core.Withdraw:
		return b.offer(c, say, err)
	case c.Verb == core.Reply && c.Failure.Failed():
		payload := core.Payload{Kind: core.JSON, Data: core.AppendFailure(nil, c.Failure)}
		return false, b.publish(c.Call.Append([]byte(core.ErrorTopic)), payload, nil, say, err)
	case c.Verb == core.Reply:
		return false, b.publish(c.Call.Append([]byte(core.ReplyTopic)), c.Payload, nil, say, err)
	case c.Verb == core.Call:
		topic := append(strconv.AppendUint([]byte(core.CallTopic), b.calls.Next(), 10), '/')
		if err := b.publish(append(topic, c.Topic...), c.Payload, c.Headers, say, err); err != nil {
			return false, err
		}
		if c.OneWay {
			b.calls.Skip()
			return false, nil
		}
		b.calls.Add(c)
		return true, nil
	}
	return answered, err
}

// offer subscribes to the topics of the services, or unsubscribes; err is returned if that is no way.
// The outcome is that of the last service.
func (b *byTopic) offer(c core.Command, say func(core.Frame), err error) (answered bool, _ error) {
	if c.Exclusive {
		return false, err
	}
	verb := core.Subscribe
	if c.Verb == core.Withdraw {
		verb = core.Unsubscribe
	}
	for i, service := range c.Services {
		one := core.Command{Verb: verb, Topic: append([]byte(core.ServeTopic), service...), Pattern: true}
		if i == len(c.Services)-1 {
			one.Ref = c.Ref
		}
		if answered, err = b.ClientCodec.Say(one, say); err != nil {
			return false, err
		}
	}
	return answered, nil
}

// publish says a message; err is returned if the format has no words for that either.
func (b *byTopic) publish(topic []byte, p core.Payload, headers []byte, say func(core.Frame), err error) error {
	_, wrong := b.ClientCodec.Say(core.Command{Verb: core.Publish, Topic: topic, Payload: p, Headers: headers}, say)
	_, unsayable := errors.AsType[*core.Unsayable](wrong)
	if unsayable && p.Kind == core.Absent {
		// Not every format has messages without content.
		return b.publish(topic, core.Payload{Kind: core.JSON, Data: []byte(`""`)}, headers, say, err)
	}
	if unsayable {
		return err
	}
	return wrong
}

// Hear tells what a message means, one on the broker's topics too.
func (b *byTopic) Hear(f core.Frame, tell func(core.Event)) error {
	return b.ClientCodec.Hear(f, func(ev core.Event) {
		if ev.Kind == core.Message && core.Reserved(ev.Topic) {
			var ok bool
			if ev, ok = b.means(ev); !ok {
				return
			}
		}
		if ev.Kind == core.Done && ev.Verb == core.Subscribe && len(ev.Ref) == 0 {
			return // of an offer of several services
		}
		tell(ev)
	})
}

// means returns what a message on one of the broker's topics stands for. ok is false if it is the
// outcome of a call that was given up.
func (b *byTopic) means(ev core.Event) (_ core.Event, ok bool) {
	if rest, found := bytes.CutPrefix(ev.Topic, []byte(core.RequestTopic)); found {
		text, service, _ := bytes.Cut(rest, []byte("/"))
		id, isID := core.ParseCallID(text)
		return core.Event{Kind: core.Request, Call: id, OneWay: id == core.CallID{}, Topic: service, Payload: ev.Payload}, isID
	}
	if service, found := bytes.CutPrefix(ev.Topic, []byte(core.ServeTopic)); found {
		return core.Event{Kind: core.OfferLost, Topic: service, Failure: core.FailureFrom(ev.Payload)}, true
	}
	if ref, found := bytes.CutPrefix(ev.Topic, []byte(core.ReplyTopic)); found {
		said, ok := b.ended(ref)
		return core.Event{Kind: core.Answer, Verb: core.Call, Ref: said.Ref, Topic: said.Topic, Payload: ev.Payload}, ok
	}
	if ref, found := bytes.CutPrefix(ev.Topic, []byte(core.ErrorTopic)); found {
		said, ok := b.ended(ref)
		return core.Event{Kind: core.Failed, Verb: core.Call, Ref: said.Ref, Topic: said.Topic, Failure: core.FailureFrom(ev.Payload)}, ok
	}
	return ev, true
}

// ended returns the call with this number, and forgets it.
func (b *byTopic) ended(number []byte) (said core.Said, ok bool) {
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return said, false
	}
	said, ok = b.calls.Get(n)
	b.calls.End(n)
	return said, ok
}

// Forget gives up the call with this ref.
func (b *byTopic) Forget(ref []byte) {
	b.calls.Forget(ref)
	b.ClientCodec.Forget(ref)
}
