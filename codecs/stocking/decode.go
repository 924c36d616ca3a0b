package stocking

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// noAnswer is the code of a call that wants no answer.
const noAnswer = "0"

var (
	errFields  = errors.New("want type,code,content")
	errUTF8    = errors.New("message is not valid UTF-8")
	errContent = errors.New(`call content is no {"e":string,"p":any}`)
)

// Open makes the connection a member of the room named by its number.
func (f *Format) Open(conn uint64, to core.Sink) {
	to.Do(core.Command{Verb: core.Subscribe, Topic: strconv.AppendUint(nil, conn, 10)})
}

// Decode turns one frame, text or binary alike, into a command. Frames without their two
// commas, and calls whose content is not JSON, end the connection, as in the original.
func (f *Format) Decode(frame core.Frame, to core.Sink) error {
	if frame.Kind == core.BinaryFrame && !utf8.Valid(frame.Data) {
		return &core.Violation{Reason: core.ReasonInvalidUTF8, Err: errUTF8}
	}
	kind, rest, _ := bytes.Cut(frame.Data, []byte(","))
	code, content, complete := bytes.Cut(rest, []byte(","))
	switch string(kind) {
	// These two are documented without fields: clients may leave the commas out.
	case "2":
		to.Do(core.Command{Verb: core.Leave})
		return nil
	case "3":
		to.Do(core.Command{Verb: core.Ping})
		return nil
	}
	if !complete || len(kind) == 0 {
		return &core.Violation{Reason: core.ReasonMalformed, Err: errFields}
	}
	switch string(kind) {
	case "0", "1":
	case "4":
		return call(code, content, to)
	case "5":
		to.Do(core.Command{
			Verb: core.Publish, Topic: unescapeRoom(code), NotToSelf: true,
			Payload: core.Payload{Kind: core.Text, Data: content},
		})
	case "6":
		join(code, content, to)
	default:
		to.Refuse(core.ReasonUnknownType, nil, core.Failure{})
	}
	return nil
}

// join joins or leaves a room. Its name is exact here, commas included.
func join(code, room []byte, to core.Sink) {
	switch string(code) {
	case "1":
		to.Do(core.Command{Verb: core.Subscribe, Topic: unescapeRoom(room)})
	case "0":
		to.Do(core.Command{Verb: core.Unsubscribe, Topic: unescapeRoom(room)})
	default:
		to.Refuse(core.ReasonUnknownType, nil, core.Failure{})
	}
}

// call calls a route. Its code comes back as the Ref.
func call(code, content []byte, to core.Sink) error {
	cmd := core.Command{Verb: core.Call, Ref: code, OneWay: string(code) == noAnswer}
	members := rawjson.Object(content)
	for members.Next() {
		value := members.Value()
		switch {
		case members.KeyIs("e"):
			route, ok := rawjson.Unquote(value, nil)
			if !ok && !rawjson.IsNull(value) {
				return &core.Violation{Reason: core.ReasonMalformed, Err: errContent}
			}
			cmd.Topic = route
		case members.KeyIs("p"):
			cmd.Payload = core.FromJSON(value)
		}
	}
	if err := members.Err(); err != nil {
		reason := core.ReasonMalformed
		if errors.Is(err, rawjson.ErrDepth) {
			reason = core.ReasonTooDeep
		}
		return &core.Violation{Reason: reason, Err: errContent}
	}
	to.Do(cmd)
	return nil
}
