package relay

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
)

// Listener is told what is said in a dialog, in order. It may keep requests, answers and their bodies.
type Listener interface {
	// Asked is told of a request, whose body was read.
	Asked(*Exchange)
	// Answered is told of the answer to a request, with its body. An upgrade with an answer was refused.
	Answered(*Exchange, *http.Response, []byte)
	// Upgraded is told of the answer to an upgrade: messages follow.
	Upgraded(*Exchange, *http.Response)
	// Said is told of a message or control frame of the server, or of the client.
	Said(server bool, m Message)
}

// Exchange is an HTTP request.
type Exchange struct {
	Request *http.Request
	Body    []byte
	// Upgrade: it asks for a WebSocket.
	Upgrade bool
}

// Dialog takes apart what is said on one connection. One goroutine.
type Dialog struct {
	max      int
	listener Listener

	client, server unread         // what has not been read yet of HTTP
	request        *http.Request  // whose head was read, and whose body was not
	answer         *http.Response // the same
	waiting        []*Exchange    // for their answers
	upgrading      bool
	clientFrames   *frames // nil before the upgrade
	serverFrames   *frames
}

// NewDialog returns a dialog that tells listener of messages of up to max bytes.
func NewDialog(max int, listener Listener) *Dialog { return &Dialog{max: max, listener: listener} }

// Upgraded reports whether a WebSocket has begun.
func (d *Dialog) Upgraded() bool { return d.clientFrames != nil }

// Feed takes bytes of one side, which it may change. The error says how the sender breaks the protocol, HTTP
// before the upgrade; nothing can be read after it.
func (d *Dialog) Feed(server bool, data []byte) error {
	var err error
	switch {
	case d.clientFrames != nil && server:
		return d.serverFrames.feed(data, d.tell(true))
	case d.clientFrames != nil:
		return d.clientFrames.feed(data, d.tell(false))
	case server:
		d.server.data = append(d.server.data, data...)
		err = d.answers(false)
	default:
		d.client.data = append(d.client.data, data...)
		err = d.asks()
	}
	if err == nil && max(len(d.client.data), len(d.server.data)) > d.max+maxHead {
		err = errors.New("it is too long")
	}
	return err
}

func (d *Dialog) tell(server bool) func(Message) error {
	return func(m Message) error {
		d.listener.Said(server, m)
		return nil
	}
}

// End says that nothing follows from one side. It returns how many bytes of an HTTP message were not
// complete.
func (d *Dialog) End(server bool) (left int) {
	switch {
	case d.clientFrames != nil:
		return 0
	case server:
		_ = d.answers(true) // what is left is not answered
		return len(d.server.data)
	case d.upgrading:
		return 0
	}
	return len(d.client.data)
}

// asks reads requests, up to an upgrade.
func (d *Dialog) asks() error {
	for !d.upgrading {
		if len(d.client.data) > 0 && !looksLikeHTTP(d.client.data) {
			return errors.New("it has no head")
		}
		if d.client.body == nil {
			head, err := d.client.head()
			if head == nil {
				return err
			}
			if d.request, err = http.ReadRequest(head); err != nil {
				return err
			}
			d.client.body = newBody(d.request.ContentLength, d.request.TransferEncoding)
		}
		body, whole, err := d.client.message(false)
		if !whole {
			return err
		}
		e := &Exchange{Request: d.request, Body: body, Upgrade: strings.EqualFold(d.request.Header.Get("Upgrade"), "websocket")}
		d.request, d.upgrading = nil, e.Upgrade
		d.waiting = append(d.waiting, e)
		d.listener.Asked(e)
	}
	return nil
}

// looksLikeHTTP reports whether a request may begin like that.
func looksLikeHTTP(b []byte) bool {
	return !bytes.ContainsFunc(b[:min(len(b), 3)], func(c rune) bool { return c < 'A' || c > 'Z' })
}

// answers reads answers. end says that nothing follows.
func (d *Dialog) answers(end bool) error {
	for len(d.waiting) > 0 {
		e := d.waiting[0]
		if d.server.body == nil {
			head, err := d.server.head()
			if head == nil {
				return err
			}
			if d.answer, err = http.ReadResponse(head, e.Request); err != nil {
				return err
			}
			length := d.answer.ContentLength
			if e.Request.Method == http.MethodHead {
				length = 0 // it says how long that of a GET is, if it says so
			}
			d.server.body = newBody(length, d.answer.TransferEncoding)
		}
		answer := d.answer
		if answer.StatusCode == http.StatusSwitchingProtocols {
			d.server.data = d.server.data[d.server.headLen:]
			return d.upgraded(e, answer)
		}
		body, whole, err := d.server.message(end)
		if !whole {
			return err
		}
		d.answer = nil
		if answer.StatusCode < 200 {
			continue
		}
		d.waiting = d.waiting[1:]
		d.listener.Answered(e, answer, body)
		if e.Upgrade { // it was refused, and further requests may wait behind it
			d.upgrading = false
			if err := d.asks(); err != nil {
				return err
			}
		}
	}
	return nil
}

// upgraded begins a WebSocket.
func (d *Dialog) upgraded(e *Exchange, answer *http.Response) error {
	if !e.Upgrade {
		return errors.New("an upgrade that nobody has asked for")
	}
	d.waiting = nil
	d.clientFrames, d.serverFrames = &frames{max: d.max}, &frames{max: d.max, fromServer: true}
	d.clientFrames.inflate, d.serverFrames.inflate = inflaters(answer.Header.Values("Sec-WebSocket-Extensions"), d.max)
	d.listener.Upgraded(e, answer)
	client, server := d.client.data, d.server.data
	d.client, d.server = unread{}, unread{}
	err := d.clientFrames.feed(client, d.tell(false))
	if err == nil {
		err = d.serverFrames.feed(server, d.tell(true))
	}
	return err
}
