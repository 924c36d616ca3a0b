package main

import (
	"bytes"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

var errJSON = malformed("the body is not JSON, as content-type says")

// send handles SEND.
func (c *codec) send(f *frame, to core.Sink) error {
	cmd, err := commandFor(f)
	if err != nil {
		return err
	}
	name := f.get("transaction")
	if name == nil {
		to.Do(cmd)
		return nil
	}
	t, err := c.transactions.of(name)
	if err != nil {
		return err
	}
	if err := c.transactions.add(t, cmd, c.format.maxFrame); err != nil {
		return err
	}
	receipt(f, to)
	return nil
}

// commandFor returns what SEND asks for.
func commandFor(f *frame) (core.Command, error) {
	prefix, name, err := destinationOf(f)
	if err != nil {
		return core.Command{}, err
	}
	payload, err := payloadOf(f)
	if err != nil {
		return core.Command{}, err
	}
	switch prefix {
	case topicPrefix:
		return core.Command{Verb: core.Publish, Ref: receiptRef(f), Topic: name, Payload: payload, Headers: headersOf(f)}, nil
	case queuePrefix:
		replyTo := f.get("reply-to")
		if replyTo != nil && !bytes.HasPrefix(replyTo, []byte(tempQueuePrefix)) {
			return core.Command{}, errReplyTo
		}
		return core.Command{Verb: core.Call, Ref: callRef(f), Topic: name, Payload: payload, OneWay: replyTo == nil}, nil
	case replyQueuePrefix:
		cmd := core.Command{Verb: core.Reply, Ref: receiptRef(f), Call: replyID(name), Payload: payload}
		if code := f.get("error-code"); len(code) > 0 {
			cmd.Failure = core.Failure{Code: core.Code(code), Text: string(core.AppendText(nil, payload))}
		}
		return cmd, nil
	}
	return core.Command{}, errDestination
}

// payloadOf returns the body of SEND as its content-type says: JSON, text, or bytes.
// Many clients give none; then it is text if it can be.
func payloadOf(f *frame) (core.Payload, error) {
	media, _, _ := bytes.Cut(f.get("content-type"), []byte(";"))
	media = bytes.ToLower(bytes.TrimSpace(media))
	switch {
	case string(media) == "application/json", bytes.HasSuffix(media, []byte("+json")):
		if !rawjson.Valid(f.body) {
			return core.Payload{}, errJSON
		}
		return core.FromJSON(f.body), nil
	case (len(media) == 0 || bytes.HasPrefix(media, []byte("text/"))) && utf8.Valid(f.body):
		return core.Payload{Kind: core.Text, Data: f.body}, nil
	}
	return core.Payload{Kind: core.Binary, Data: f.body}, nil
}

// own are the headers that belong to the frame and not to the message in it.
var own = [...]string{
	"destination", "content-length", "receipt", "transaction", // of SEND
	"subscription", "message-id", "ack", "receipt-id", // of MESSAGE and RECEIPT
}

func isOwn(name []byte) bool {
	for _, o := range own {
		if string(name) == o {
			return true
		}
	}
	return false
}

// headersOf returns the headers of a message as a JSON object, nil if there are none.
// Of a header that comes twice the first counts.
func headersOf(f *frame) []byte {
	var object []byte
	for i, h := range f.headers {
		before := frame{headers: f.headers[:i]}
		if isOwn(h.name) || before.get(string(h.name)) != nil {
			continue
		}
		if object == nil {
			object = append(object, '{')
		} else {
			object = append(object, ',')
		}
		object = append(rawjson.AppendQuote(object, h.name), ':')
		object = rawjson.AppendQuote(object, h.value)
	}
	if object == nil {
		return nil
	}
	return append(object, '}')
}
