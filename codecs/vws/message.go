package vws

import (
	"fmt"

	"github.com/polywire/polywire/core/rawjson"
)

// The kinds of messages; an event has none.
const (
	kindSubscribe      = "s"
	kindUnsubscribe    = "u"
	kindUnsubscribeAll = "U"
	kindAck            = "a"
	kindNack           = "n"
)

// message is one parsed client message: raw JSON values that point into the frame, nil where
// the key is absent or null. kind and topic are strings, with their quotes; headers is an
// object of strings that is not empty.
type message struct {
	kind, topic, data, id, headers []byte
}

// parseMessage parses frame as the original does with encoding/json: names match without
// regard to case, the last of several counts, null leaves a string unchanged and removes
// anything else, other names are ignored, and null for the object is an object without
// members. An error means that frame is not a JSON object or that a known field has the
// wrong kind.
func parseMessage(frame []byte) (message, error) {
	var m message
	if string(rawjson.Trim(frame)) == "null" {
		return m, nil
	}
	var wrong error
	members := rawjson.Object(frame)
	for members.Next() {
		value, ok := members.Value(), true
		switch {
		case members.KeyIs("t"):
			ok = takeString(&m.topic, value)
		case members.KeyIs("d"):
			m.data = notNull(value)
		case members.KeyIs("i"):
			m.id = notNull(value)
		case members.KeyIs("k"):
			ok = takeString(&m.kind, value)
		case members.KeyIs("h"):
			m.headers, ok = headers(value)
		case members.KeyIs("e"):
			ok = takeString(new([]byte), value)
		}
		if !ok && wrong == nil {
			wrong = fmt.Errorf("reading field %q: wrong kind of value", members.Key())
		}
	}
	if err := members.Err(); err != nil {
		return message{}, err
	}
	return m, wrong
}

// takeString puts value into field, unless it is null. It reports whether value is a string
// or null.
func takeString(field *[]byte, value []byte) bool {
	if rawjson.IsString(value) {
		*field = value
		return true
	}
	return rawjson.IsNull(value)
}

// notNull returns value, or nil if it is null.
func notNull(value []byte) []byte {
	if rawjson.IsNull(value) {
		return nil
	}
	return value
}

// headers returns value if it is an object that has members, and nil if it has
// none or is null. ok is false if it is anything but an object of strings.
func headers(value []byte) (_ []byte, ok bool) {
	if rawjson.IsNull(value) {
		return nil, true
	}
	members, n := rawjson.Object(value), 0
	for members.Next() {
		if !rawjson.IsString(members.Value()) {
			return nil, false
		}
		n++
	}
	if members.Err() != nil || n == 0 {
		return nil, members.Err() == nil
	}
	return value, true
}
