package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

var (
	errServer  = errors.New("no message of a STOMP server")
	errOldest  = errors.New("it speaks neither version 1.2 nor 1.1")
	errEarly   = errors.New("the first frame is not CONNECTED")
	errAgain   = errors.New("CONNECTED comes again")
	errNoFrame = errors.New("there is no such command")
)

// Hear tells what the frames that f completes mean. ERROR instead of CONNECTED is an error: there will be
// no connection.
func (c *clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	var one frame // that is being heard
	err := c.in.feed(f.Data, func(raw []byte) error {
		one.headers = one.headers[:0]
		if err := one.parse(raw, c.version); err != nil {
			return err
		}
		return c.hear(&one, tell)
	})
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused
	}
	if what, ok := errors.AsType[fault](err); ok {
		return fmt.Errorf("%w: %s", errServer, what.Text)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errServer, err)
	}
	return nil
}

// refusal is the error of a server that does not connect.
type refusal struct{ core.Failure }

func (r *refusal) Error() string { return "the server refuses the connection: " + textOf(r.Failure) }

func (r *refusal) Unwrap() error { return r.Failure }

func (c *clientCodec) hear(f *frame, tell func(core.Event)) error {
	switch {
	case f.command == "ERROR" && c.version == none:
		return &refusal{failureFrom(f)}
	case f.command == "CONNECTED" && c.version == none:
		return c.connected(f)
	case f.command == "CONNECTED":
		return errAgain
	case c.version == none:
		return errEarly
	}
	switch f.command {
	case "MESSAGE":
		return c.message(f, tell)
	case "RECEIPT":
		if said, ok := c.take(f.get("receipt-id")); ok {
			tell(core.Event{Kind: core.Done, Verb: said.Verb, Ref: said.Ref, Topic: said.Topic})
		}
		return nil
	case "ERROR":
		c.failed(f, tell)
		return nil
	}
	return errNoFrame
}

// connected reads the version, and which heart-beats the server wants.
func (c *clientCodec) connected(f *frame) error {
	v := none
	switch string(f.get("version")) {
	case "1.2":
		v = v12
	case "1.1":
		v = v11
	default:
		return errOldest
	}
	beats := f.get("heart-beat")
	if !validHeartBeat(beats) {
		return errHeartBeat
	}
	c.version = v
	_, wanted, _ := bytes.Cut(beats, []byte(","))
	if ms, _ := strconv.ParseUint(string(wanted), 10, 63); ms > 0 {
		c.beat = max(time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond)))*time.Millisecond, offeredBeat)
	}
	return nil
}

// take returns what a number that a server says answers, and forgets it.
func (c *clientCodec) take(id []byte) (core.Said, bool) {
	number, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return core.Said{}, false
	}
	said, ok := c.pending.Get(number)
	c.pending.End(number)
	return said, ok
}

// message tells what MESSAGE means: a message on a topic, a request from a queue, or the outcome of a call.
// One of a subscription that has ended means nothing. What is told owns its bytes: the splitter reuses its
// own.
func (c *clientCodec) message(f *frame, tell func(core.Event)) error {
	payload, err := payloadOf(f)
	if err != nil { // its author's fault, not the server's
		if payload = (core.Payload{Kind: core.Text, Data: f.body}); !utf8.Valid(f.body) {
			payload.Kind = core.Binary
		}
	}
	if len(f.body) == 0 && f.get("content-type") == nil {
		payload = core.Payload{}
	}
	id := string(f.get("subscription"))
	if id == answersTo {
		if said, ok := c.take(f.get("correlation-id")); ok {
			tell(callOutcome(f, said, payload).Clone())
		}
		return nil
	}
	subscribed, ok := c.heard[id]
	if !ok {
		return nil
	}
	prefix, name, err := cutDestination([]byte(subscribed))
	if err != nil {
		return err
	}
	if prefix == queuePrefix {
		tell(c.request(f, name, payload).Clone())
		return nil
	}
	ev := core.Event{Kind: core.Message, Topic: name, Payload: payload, Headers: withoutUsualType(f, payload.Kind)}
	if prefix, name, err := cutDestination(f.get("destination")); err == nil && prefix == topicPrefix {
		ev.Topic = name
	}
	tell(ev.Clone())
	return nil
}

// callOutcome returns how a call has ended.
func callOutcome(f *frame, said core.Said, payload core.Payload) core.Event {
	ev := core.Event{Kind: core.Answer, Verb: said.Verb, Ref: said.Ref, Topic: said.Topic, Payload: payload}
	if code := f.get("error-code"); len(code) > 0 {
		ev.Kind, ev.Payload = core.Failed, core.Payload{}
		ev.Failure = core.Failure{Code: core.Code(code), Text: string(core.AppendText(nil, payload))}
	}
	return ev
}

// request returns the request that a queue has for this consumer.
func (c *clientCodec) request(f *frame, service []byte, payload core.Payload) core.Event {
	ev := core.Event{Kind: core.Request, Topic: service, Payload: payload}
	replyTo := f.get("reply-to")
	if ev.OneWay = len(replyTo) == 0; ev.OneWay {
		return ev
	}
	correlation := f.get("correlation-id")
	if prefix, name, err := cutDestination(replyTo); err == nil && prefix == replyQueuePrefix && len(correlation) == 0 {
		if id, ok := core.ParseCallID(name); ok {
			ev.Call = id
			return ev
		}
	}
	// A server of another kind: the id is ours, and says where the reply goes.
	ev.Call = core.NewCallID()
	if len(c.order) == maxRequests {
		delete(c.requests, c.order[0])
		c.order = c.order[1:]
	}
	c.requests[ev.Call] = from{bytes.Clone(replyTo), bytes.Clone(correlation)}
	c.order = append(c.order, ev.Call)
	return ev
}

// withoutUsualType returns the headers of a message without a content-type that says only what the
// payload's kind says too.
func withoutUsualType(f *frame, kind core.PayloadKind) []byte {
	usual := f.get("content-type")
	if usual == nil || string(usual) != contentTypes[kind] {
		return headersOf(f)
	}
	rest := frame{headers: slices.DeleteFunc(slices.Clone(f.headers), func(h header) bool { return string(h.name) == "content-type" })}
	return headersOf(&rest)
}

// failed tells what ERROR means: that a command was refused, or that a queue was lost. The server then
// ends the connection.
func (c *clientCodec) failed(f *frame, tell func(core.Event)) {
	ev := core.Event{Kind: core.Failed, Failure: failureFrom(f)}
	if destination := c.heard[string(f.get("subscription"))]; destination != "" {
		if prefix, name, err := cutDestination([]byte(destination)); err == nil && prefix == queuePrefix {
			ev.Kind, ev.Topic = core.OfferLost, name
		}
	}
	if said, ok := c.take(f.get("receipt-id")); ok {
		ev.Verb, ev.Ref, ev.Topic = said.Verb, said.Ref, said.Topic
	}
	tell(ev)
}

// failureFrom returns why a server says ERROR: one of the broker's own codes if that is all it says.
func failureFrom(f *frame) core.Failure {
	text := string(f.get("message"))
	for _, code := range []core.Code{
		core.NoService, core.Timeout, core.Gone, core.Denied, core.NotOwner, core.Taken, core.Unreachable, core.Overloaded,
		core.Shutdown, core.Invalid, core.Internal,
	} {
		if text == string(code) {
			return core.Failure{Code: code}
		}
	}
	if body := bytes.TrimSpace(f.body); len(body) > 0 {
		text += ": " + string(bytes.ToValidUTF8(body[:min(len(body), maxShown)], nil))
	}
	return core.Failure{Code: core.AnswererError, Text: text}
}

// maxShown is how much of the body of ERROR is shown, in bytes.
const maxShown = 200
