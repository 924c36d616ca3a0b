package stocking

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// clientCodec is the client's side of the format, for one connection. It numbers its calls; a pong has no
// number, pings are answered in their order.
type clientCodec struct {
	// Owned by the goroutine that uses it.
	calls core.Pending
	pings [][]byte // the refs of pings that are not answered yet
	buf   []byte
}

var _ core.ClientFormat = (*Format)(nil)

const (
	// maxScratch is the biggest buffer, in bytes, that is kept for the next message.
	maxScratch = 4 << 10
	// keepAlive is well within the minute after which the server ends an idle connection.
	keepAlive = 25 * time.Second
)

// NewClientCodec returns the client's side of a connection.
func (*Format) NewClientCodec() core.ClientCodec { return new(clientCodec) }

// NamesTopics reports true: a message names its room.
func (*Format) NamesTopics() bool { return true }

// HearsItself reports false: a broadcast goes to the others.
func (*Format) HearsItself() bool { return false }

// Ready reports true: nothing has to be heard first.
func (*clientCodec) Ready() bool { return true }

// KeepAlive returns a ping. Its pong may be taken for that of a ping that was said; the other one comes
// right after it.
func (*clientCodec) KeepAlive() (time.Duration, core.Frame) {
	return keepAlive, core.Frame{Kind: core.TextFrame, Data: []byte("3")}
}

// Say writes rooms joined and left, broadcasts, calls, pings and the goodbye.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	dst := c.buf[:0]
	switch cmd.Verb {
	case core.Subscribe, core.Unsubscribe:
		if cmd.Pattern && core.HasWildcard(string(cmd.Topic)) {
			return false, &core.Unsayable{What: "a pattern", Closest: "join each room by its name"}
		}
		on := "6,1,"
		if cmd.Verb == core.Unsubscribe {
			on = "6,0,"
		}
		dst = appendRoom(append(dst, on...), cmd.Topic)
	case core.Publish:
		switch {
		case cmd.Headers != nil:
			return false, &core.Unsayable{What: "headers", Closest: "put them into the text"}
		case cmd.AsOwner:
			return false, &core.Unsayable{What: "a publication as the owner of a channel", Closest: "publish without it"}
		}
		dst = appendRoom(append(dst, "5,"...), cmd.Topic)
		dst = core.AppendText(append(dst, ','), cmd.Payload)
	case core.Call:
		if cmd.Headers != nil {
			return false, &core.Unsayable{What: "headers", Closest: "put them into the parameters"}
		}
		dst = c.appendCall(dst, cmd)
		answered = !cmd.OneWay
	case core.Ping:
		dst = append(dst, '3')
		c.pings = append(c.pings, slices.Clone(cmd.Ref))
		answered = true
	case core.Leave:
		dst = append(dst, '2')
	case core.Offer, core.Withdraw, core.Reply:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "at a broker that has topics for calls, join $serve/SERVICE and publish the answer to $reply/ID"}
	case core.UnsubscribeAll:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "leave each room by its name"}
	default:
		return false, &core.Unsayable{What: cmd.Verb.String()}
	}
	c.buf = dst
	say(core.Frame{Kind: core.TextFrame, Data: dst})
	if cap(c.buf) > maxScratch {
		c.buf = nil
	}
	return answered, nil
}

// appendCall appends a call, under a number of its own unless no answer is wanted.
func (c *clientCodec) appendCall(dst []byte, cmd core.Command) []byte {
	dst = append(dst, "4,"...)
	if cmd.OneWay {
		dst = append(dst, noAnswer...)
	} else {
		dst = strconv.AppendUint(dst, c.calls.Next(), 10)
		c.calls.Add(cmd)
	}
	dst = rawjson.AppendQuote(append(dst, `,{"e":`...), cmd.Topic)
	// The original ends the connection of a call without a payload.
	dst = core.AppendJSON(append(dst, `,"p":`...), cmd.Payload)
	return append(dst, '}')
}

// Forget gives up the call, or the ping, with this ref.
func (c *clientCodec) Forget(ref []byte) {
	c.calls.Forget(ref)
	c.pings = slices.DeleteFunc(c.pings, func(ping []byte) bool { return bytes.Equal(ping, ref) })
}

var errServer = errors.New("no message of a stocking server")

// Hear tells what a message of a server means. A message of an unknown type means nothing.
func (c *clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	if f.Kind != core.TextFrame {
		return fmt.Errorf("%w: it is binary", errServer)
	}
	kind, rest, _ := bytes.Cut(f.Data, []byte(","))
	code, content, complete := bytes.Cut(rest, []byte(","))
	switch string(kind) {
	case "0":
		tell(core.Event{Kind: core.Welcome})
		return nil
	case "3":
		if len(c.pings) > 0 {
			ref := c.pings[0]
			c.pings = c.pings[1:]
			tell(core.Event{Kind: core.Pong, Ref: ref})
		}
		return nil
	}
	if !complete || len(kind) == 0 {
		return fmt.Errorf("%w: %w", errServer, errFields)
	}
	switch string(kind) {
	case "1":
		tell(refusal(content))
	case "4":
		return c.outcome(code, content, tell)
	case "5":
		tell(core.Event{Kind: core.Message, Topic: unescapeRoom(code), Payload: core.Payload{Kind: core.Text, Data: content}})
	}
	return nil
}

// refusal returns what an error message means: that a broadcast reached nobody, or that something
// was refused; the format does not say what.
func refusal(text []byte) core.Event {
	if name, ok := bytes.CutPrefix(text, []byte(`Channel "`)); ok {
		if name, ok = bytes.CutSuffix(name, []byte(`" not found`)); ok {
			return core.Event{Kind: core.Done, Verb: core.Publish, Topic: unescapeRoom(name), Unheard: true}
		}
	}
	return core.Event{Kind: core.Failed, Failure: failureOf(string(text), core.AnswererError)}
}

// outcome hears how a call has ended: {"c":-1,"p":RESULT}, {"c":CODE,"p":TEXT}, or nothing.
func (c *clientCodec) outcome(code, content []byte, tell func(core.Event)) error {
	number, err := strconv.ParseUint(string(code), 10, 64)
	said, ok := c.calls.Get(number)
	if err != nil || !ok {
		return nil // of a call that was given up
	}
	ev := core.Event{Kind: core.Answer, Verb: core.Call, Ref: said.Ref, Topic: said.Topic}
	if len(content) > 0 {
		if err := readOutcome(content, &ev); err != nil {
			return fmt.Errorf("%w: %w", errServer, err)
		}
	}
	c.calls.End(number)
	tell(ev)
	return nil
}

var errOutcome = errors.New(`the outcome of a call is no {"c":NUMBER,"p":ANY}`)

func readOutcome(content []byte, ev *core.Event) error {
	var code, p []byte
	members := rawjson.Object(content)
	for members.Next() {
		switch {
		case members.KeyIs("c"):
			code = members.Value()
		case members.KeyIs("p"):
			p = members.Value()
		}
	}
	number, err := strconv.ParseInt(string(code), 10, 64)
	switch {
	case members.Err() != nil:
		return members.Err()
	case err != nil:
		return errOutcome
	case number == -1:
		if p != nil {
			ev.Payload = core.FromJSON(p)
		}
		return nil
	}
	text := core.AppendText(nil, core.Payload{Kind: core.JSON, Data: p})
	own := core.Code(strconv.FormatInt(number, 10))
	if number == 0 {
		own = core.AnswererError
	}
	ev.Kind, ev.Failure = core.Failed, failureOf(string(text), own)
	return nil
}

// failureOf returns the failure that a text tells of: one of the broker's own codes, or else own.
func failureOf(text string, own core.Code) core.Failure {
	if own == core.AnswererError {
		for _, code := range []core.Code{
			core.NoService, core.Timeout, core.Gone, core.Denied, core.NotOwner, core.Overloaded, core.Shutdown, core.Invalid,
			core.Unreachable, core.Internal, core.AnswererError,
		} {
			if text == string(code) {
				return core.Failure{Code: code}
			}
		}
	}
	return core.Failure{Code: own, Text: text}
}
