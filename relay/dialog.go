package relay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxHead bounds the head of an HTTP message.
const maxHead = 64 << 10

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

	client, server []byte      // what is not parsed yet of HTTP
	waiting        []*Exchange // for their answers
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
		d.server = append(d.server, data...)
		err = d.answers(false)
	default:
		d.client = append(d.client, data...)
		err = d.asks()
	}
	if err == nil && max(len(d.client), len(d.server)) > d.max+maxHead {
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
		return len(d.server)
	case d.upgrading:
		return 0
	}
	return len(d.client)
}

var headEnd = []byte("\r\n\r\n")

// asks parses requests, up to an upgrade.
func (d *Dialog) asks() error {
	for !d.upgrading && len(d.client) > 0 {
		if !bytes.Contains(d.client, headEnd) {
			if len(d.client) > maxHead || !looksLikeHTTP(d.client) {
				return errors.New("it has no head")
			}
			return nil
		}
		in := bytes.NewReader(d.client)
		reader := bufio.NewReader(in)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(request.Body)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		d.client = d.client[len(d.client)-in.Len()-reader.Buffered():]
		e := &Exchange{Request: request, Body: body, Upgrade: strings.EqualFold(request.Header.Get("Upgrade"), "websocket")}
		d.upgrading = e.Upgrade
		d.waiting = append(d.waiting, e)
		d.listener.Asked(e)
	}
	return nil
}

// looksLikeHTTP reports whether a request may begin like that.
func looksLikeHTTP(b []byte) bool {
	return !bytes.ContainsFunc(b[:min(len(b), 3)], func(c rune) bool { return c < 'A' || c > 'Z' })
}

// answers parses answers. end says that nothing follows.
func (d *Dialog) answers(end bool) error {
	for len(d.waiting) > 0 && len(d.server) > 0 {
		if !bytes.Contains(d.server, headEnd) {
			if len(d.server) > maxHead {
				return errors.New("it has no head")
			}
			return nil
		}
		e := d.waiting[0]
		in := bytes.NewReader(d.server)
		reader := bufio.NewReader(in)
		answer, err := http.ReadResponse(reader, e.Request)
		if err != nil {
			return err
		}
		if answer.StatusCode == http.StatusSwitchingProtocols {
			d.server = d.server[len(d.server)-in.Len()-reader.Buffered():]
			return d.upgraded(e, answer)
		}
		body, err := io.ReadAll(answer.Body)
		if !end && (errors.Is(err, io.ErrUnexpectedEOF) || answer.ContentLength < 0 && len(answer.TransferEncoding) == 0) {
			return nil
		}
		if err != nil {
			return err
		}
		d.server = d.server[len(d.server)-in.Len()-reader.Buffered():]
		if answer.StatusCode < 200 {
			continue
		}
		d.waiting = d.waiting[1:]
		d.upgrading = d.upgrading && !e.Upgrade
		d.listener.Answered(e, answer, body)
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
	client, server := d.client, d.server
	d.client, d.server = nil, nil
	err := d.clientFrames.feed(client, d.tell(false))
	if err == nil {
		err = d.serverFrames.feed(server, d.tell(true))
	}
	return err
}
