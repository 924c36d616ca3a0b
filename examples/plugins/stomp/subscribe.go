package main

import (
	"github.com/polywire/polywire/core"
)

// subscription is one subscription of a connection.
type subscription struct {
	destination  string
	prefix, name string // the destination taken apart
	label        *label
}

var (
	errAck      = malformed("ack is auto, client or client-individual")
	errTaken    = malformed("there is a subscription with this id")
	errQueue    = malformed("there is a subscription to this queue")
	errUnknown  = malformed("there is no subscription with this id")
	errTooMany  = fault{core.ReasonOverload, core.Failure{Code: core.Overloaded, Text: "the connection has too many subscriptions"}}
	errSendOnly = malformed("this destination is not for subscribing")
)

// subscribe handles SUBSCRIBE. The ack modes differ only in whether MESSAGE has a header
// ack.
func (c *codec) subscribe(f *frame, to core.Sink) error {
	id, err := f.need("id")
	if err != nil {
		return err
	}
	prefix, name, err := destinationOf(f)
	if err != nil {
		return err
	}
	ack := string(f.get("ack"))
	switch {
	case prefix == replyQueuePrefix:
		return errSendOnly
	case ack != "" && ack != "auto" && ack != "client" && ack != "client-individual":
		return errAck
	case c.subscriptions[string(id)] != nil:
		return errTaken
	case len(c.subscriptions)+len(c.leaving) >= maxSubscriptions:
		return errTooMany
	case prefix == queuePrefix && c.consumes(string(name)):
		return errQueue
	}
	s := &subscription{
		destination: prefix + string(name), prefix: prefix, name: string(name),
		label: c.format.labels.of(look{id: string(id), version: c.version, ack: ack != "" && ack != "auto"}),
	}
	if c.subscriptions == nil {
		c.subscriptions = make(map[string]*subscription)
	}
	c.subscriptions[string(id)] = s
	s.do(f, to, core.Subscribe, core.Offer)
	return nil
}

// consumes reports whether there is a subscription to a queue.
func (c *codec) consumes(queue string) bool {
	for _, s := range c.subscriptions {
		if s.prefix == queuePrefix && s.name == queue {
			return true
		}
	}
	return false
}

// unsubscribe handles UNSUBSCRIBE.
func (c *codec) unsubscribe(f *frame, to core.Sink) error {
	id, err := f.need("id")
	if err != nil {
		return err
	}
	s := c.subscriptions[string(id)]
	if s == nil {
		return errUnknown
	}
	delete(c.subscriptions, string(id))
	if s.prefix != tempQueuePrefix {
		// Messages are in flight until the engine has removed it.
		if c.leaving == nil {
			c.leaving = make(map[uint32]*label)
		}
		c.leaving[s.label.as] = s.label
	}
	s.do(f, to, core.Unsubscribe, core.Withdraw)
	return nil
}

// do begins or ends s: with the verb heard for topics, offered for queues. The engine does
// not know temporary queues, which are the connection's own.
func (s *subscription) do(f *frame, to core.Sink, heard, offered core.Verb) {
	cmd := core.Command{Ref: receiptRef(f), As: s.label.as}
	switch s.prefix {
	case tempQueuePrefix:
		receipt(f, to)
		return
	case queuePrefix:
		cmd.Verb, cmd.Services = offered, [][]byte{[]byte(s.name)}
	default:
		cmd.Verb, cmd.Topic, cmd.Pattern = heard, []byte(s.name), s.prefix == patternPrefix
	}
	to.Do(cmd)
}
