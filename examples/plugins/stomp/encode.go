package main

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// Encode appends the frame that the client reads for ev. A failed command, and a queue that was
// lost, end the connection after their ERROR.
func (c *codec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if c.ended {
		return dst, core.NoFrame, nil
	}
	switch ev.Kind {
	case core.Done, core.Pong:
		if ev.Verb == core.Unsubscribe || ev.Verb == core.Withdraw {
			delete(c.leaving, ev.As)
		}
		return c.done(dst, outcomeOf(ev))
	case core.Failed:
		return c.failed(dst, ev)
	case core.Message:
		return c.format.EncodeMessage(dst, ev)
	case core.Request:
		return c.request(dst, ev)
	case core.OfferLost:
		return c.lost(dst, ev)
	case core.Answer:
		return c.answer(dst, outcomeOf(ev), core.Failure{}, ev.Payload)
	}
	return dst, core.NoFrame, nil
}

// done appends CONNECTED or RECEIPT, or nothing.
func (c *codec) done(dst []byte, o outcome) ([]byte, core.FrameKind, error) {
	switch {
	case o.connected:
		return appendConnected(dst, c.version), core.TextFrame, nil
	case len(o.receipt) > 0:
		dst = appendHeader(append(dst, "RECEIPT\n"...), c.version, "receipt-id", o.receipt)
		return append(dst, "\n\x00"...), core.TextFrame, nil
	}
	return dst, core.NoFrame, nil
}

// failed encodes a failure. The failure of a call is the answer that the client waits for. A
// message to a queue without consumers is lost, as it would be without subscribers, and a
// reply may come too late. All else is ERROR.
func (c *codec) failed(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	o := outcomeOf(ev)
	switch {
	case ev.Verb == core.Call && len(o.replyTo) > 0:
		text := core.Payload{Kind: core.Text, Data: []byte(ev.Failure.Text)}
		return c.answer(dst, o, ev.Failure, text)
	case ev.Verb == core.Call && len(o.receipt) == 0:
		return dst, core.NoFrame, nil
	case ev.Verb == core.Reply:
		return c.done(dst, o)
	}
	dst = c.beginError(dst)
	if len(o.receipt) > 0 {
		dst = appendHeader(dst, c.version, "receipt-id", o.receipt)
	}
	reason := reasonOf(ev.Failure.Code)
	if ev.Verb == core.None {
		reason = c.why
	}
	return c.endError(dst, textOf(ev.Failure), &core.Violation{Reason: reason, Err: ev.Failure})
}

// lost encodes that the client does not consume a queue any more. No frame of STOMP ends a
// subscription from the server's side, and a client that is told nothing would wait for ever:
// it has to connect and subscribe again. One that has unsubscribed meanwhile misses nothing.
func (c *codec) lost(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	for id, s := range c.subscriptions {
		if s.label.as != ev.As || s.prefix != queuePrefix || s.name != string(ev.Topic) {
			continue
		}
		dst = appendHeader(c.beginError(dst), c.version, "subscription", []byte(id))
		text := "you no longer consume " + s.destination + ": " + textOf(ev.Failure)
		return c.endError(dst, text, &core.Violation{Reason: reasonOf(ev.Failure.Code), Err: ev.Failure})
	}
	return dst, core.NoFrame, nil
}

// beginError begins ERROR, which is the last frame.
func (c *codec) beginError(dst []byte) []byte {
	c.deaf, c.ended = true, true
	dst = append(dst, "ERROR\n"...)
	if c.version == none {
		dst = append(dst, "version:"+versions+"\n"...)
	}
	return dst
}

// endError ends ERROR. The connection ends over v.
func (c *codec) endError(dst []byte, text string, v *core.Violation) ([]byte, core.FrameKind, error) {
	dst = appendHeader(dst, c.version, "message", []byte(text))
	return append(dst, "\n\x00"...), core.TextFrame, v
}

// textOf says for people why something failed.
func textOf(f core.Failure) string {
	if f.Text == "" {
		return string(f.Code)
	}
	return f.Text
}

// reasonOf returns why the connection ends over what the engine refused or took away.
func reasonOf(code core.Code) core.Reason {
	switch code {
	case core.NotOwner:
		return core.ReasonNotOwner
	case core.Taken:
		return core.ReasonTaken
	case core.Invalid:
		return core.ReasonMalformed
	case core.NoService:
		return core.ReasonNoService
	case core.Unreachable:
		return core.ReasonUnavailable
	case core.Shutdown:
		return core.ReasonDrain
	}
	return core.ReasonDenied
}

var errNUL = errors.New("a destination cannot hold a NUL")

// message is a MESSAGE frame; what is empty is left out.
type message struct {
	look
	id                   uint64
	prefix               string // of the destination
	name                 []byte
	replyTo, correlation []byte
	failure              core.Code
	headers              []byte // JSON
	payload              core.Payload
}

// EncodeMessage appends the MESSAGE that all subscribers with the same As read for ev.
func (f *format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	l := f.labels.at(ev.As)
	if l == nil {
		return dst, core.NoFrame, errors.New("the subscription has ended")
	}
	return f.encode(dst, message{look: l.look, prefix: topicPrefix, name: ev.Topic, headers: ev.Headers, payload: ev.Payload})
}

// request appends the MESSAGE of a call that the client is to answer.
func (c *codec) request(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	l := c.format.labels.at(ev.As)
	if l == nil {
		return dst, core.NoFrame, errors.New("the subscription has ended")
	}
	m := message{look: l.look, prefix: queuePrefix, name: ev.Topic, payload: ev.Payload}
	if !ev.OneWay {
		m.replyTo = ev.Call.Append([]byte(replyQueuePrefix))
	}
	return c.format.encode(dst, m)
}

// answer appends the MESSAGE that answers the client's call. It belongs to the
// subscription to its reply-to, or if there is none to one of that name.
func (c *codec) answer(dst []byte, o outcome, failure core.Failure, payload core.Payload) ([]byte, core.FrameKind, error) {
	prefix, name, err := cutDestination(o.replyTo)
	if err != nil {
		return dst, core.NoFrame, err
	}
	m := message{
		look:   look{id: string(o.replyTo), version: c.version},
		prefix: prefix, name: name, correlation: o.correlation, failure: failure.Code, payload: payload,
	}
	for _, s := range c.subscriptions {
		if s.destination == string(o.replyTo) {
			m.look = s.label.look
			break
		}
	}
	return c.format.encode(dst, m)
}

// encode appends m.
func (f *format) encode(dst []byte, m message) ([]byte, core.FrameKind, error) {
	if bytes.IndexByte(m.name, 0) >= 0 {
		return dst, core.NoFrame, errNUL
	}
	m.id = f.messages.Add(1)
	dst = appendHeader(append(dst, "MESSAGE\n"...), m.version, "subscription", []byte(m.look.id))
	dst = m.appendID(append(dst, "message-id:"...))
	dst = append(append(append(dst, "destination:"...), m.prefix...), appendEscaped(nil, m.name, m.version)...)
	dst = append(dst, '\n')
	if m.ack {
		dst = m.appendID(append(dst, "ack:"...))
	}
	if m.replyTo != nil {
		dst = appendHeader(dst, m.version, "reply-to", m.replyTo)
	}
	if len(m.correlation) > 0 {
		dst = appendHeader(dst, m.version, "correlation-id", m.correlation)
	}
	if m.failure != "" {
		dst = appendHeader(dst, m.version, "error-code", []byte(m.failure))
	}
	dst = m.appendContentType(dst)
	return m.appendBody(dst)
}

func (m *message) appendID(dst []byte) []byte {
	return append(strconv.AppendUint(dst, m.id, 10), '\n')
}

// contentTypes are those of messages whose author has given none.
var contentTypes = [...]string{core.JSON: "application/json", core.Text: "text/plain", core.Binary: "application/octet-stream"}

// appendContentType appends the author's headers, with a content-type.
func (m *message) appendContentType(dst []byte) []byte {
	typed := m.payload.Kind == core.Absent
	for members := rawjson.Object(m.headers); len(m.headers) > 0 && members.Next(); {
		name := members.Key()
		value, ok := rawjson.Unquote(members.Value(), nil)
		if !ok || len(name) == 0 || isOwn(name) || bytes.IndexByte(name, 0) >= 0 || bytes.IndexByte(value, 0) >= 0 {
			continue // nothing that STOMP could write
		}
		if string(name) == "content-type" {
			typed = true
		}
		dst = append(appendEscaped(dst, name, m.version), ':')
		dst = append(appendEscaped(dst, value, m.version), '\n')
	}
	if !typed {
		dst = append(append(append(dst, "content-type:"...), contentTypes[m.payload.Kind]...), '\n')
	}
	return dst
}

// appendBody appends the body behind its length. A body that is text goes out in a text
// message, which is what clients in browsers expect.
func (m *message) appendBody(dst []byte) ([]byte, core.FrameKind, error) {
	body := m.payload.Data
	dst = strconv.AppendInt(append(dst, "content-length:"...), int64(len(body)), 10)
	dst = append(append(append(dst, "\n\n"...), body...), 0)
	if m.payload.Kind == core.Binary && !utf8.Valid(body) {
		return dst, core.BinaryFrame, nil
	}
	return dst, core.TextFrame, nil
}
