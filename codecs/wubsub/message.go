package wubsub

import (
	"fmt"

	"github.com/polywire/polywire/core/rawjson"
)

// The types of messages, client to server and server to client.
const (
	typeRegister = "register"
	typePsSub    = "ps-sub"
	typePsPub    = "ps-pub"
	typePieDo    = "pie-do"
	typePieResp  = "pie-resp"

	typePsRecv  = "ps-recv"
	typePieAck  = "pie-ack"
	typePieReq  = "pie-req"
	typePieRecv = "pie-recv"
	typeError   = "error"
)

// message is one parsed client message: raw JSON values that point into the frame, nil where
// the key is absent or null. All but data are strings, with their quotes.
type message struct {
	kind, channel, topic, reqid, data []byte
}

// parseMessage parses frame as the original does with encoding/json: names match without
// regard to case, the last of several counts, null leaves a string unchanged, other names
// are ignored. An error means that frame is not a JSON object or that a known field has the
// wrong kind.
func parseMessage(frame []byte) (message, error) {
	var m message
	var wrong error
	members := rawjson.Object(frame)
	for members.Next() {
		var field *[]byte
		value := members.Value()
		switch {
		case members.KeyIs("type"):
			field = &m.kind
		case members.KeyIs("channel"):
			field = &m.channel
		case members.KeyIs("topic"):
			field = &m.topic
		case members.KeyIs("reqid"):
			field = &m.reqid
		case members.KeyIs("data"):
			m.data = value
			if rawjson.IsNull(value) {
				m.data = nil
			}
			continue
		default:
			continue
		}
		switch {
		case rawjson.IsString(value):
			*field = value
		case !rawjson.IsNull(value) && wrong == nil:
			wrong = fmt.Errorf("reading field %q: no string", members.Key())
		}
	}
	if err := members.Err(); err != nil {
		return message{}, err
	}
	return m, wrong
}

// methodsOf returns the methods that the data of a register message declares. What is
// missing or of the wrong kind is a list without elements.
func methodsOf(data []byte) rawjson.Elements {
	return rawjson.Array(member(member(data, "restpie"), "methods"))
}

// member returns the value of the last member called name of object, which is
// well-formed JSON; nil if there is none.
func member(object []byte, name string) (value []byte) {
	members := rawjson.Object(object)
	for members.Next() {
		if members.KeyIs(name) {
			value = members.Value()
		}
	}
	return value
}
