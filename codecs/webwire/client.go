package webwire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

// clientCodec is the client's side of the format, for one connection. It counts its requests, as the
// original's clients do.
type clientCodec struct {
	// Owned by the goroutine that uses it.
	pending   core.Pending
	heartbeat time.Duration // how often the server wants to hear something; 0 before it said so
	limit     int           // the server's bound on messages, in bytes; 0 before it said so
	buf       []byte
}

var _ core.ClientFormat = (*Format)(nil)

const (
	// maxScratch is the biggest buffer, in bytes, that is kept for the next message.
	maxScratch = 4 << 10
	// version is the major version of the protocol.
	version = 2
)

// NewClientCodec returns the client's side of a connection.
func (*Format) NewClientCodec() core.ClientCodec {
	return new(clientCodec)
}

// NamesTopics reports true: a signal has a name.
func (*Format) NamesTopics() bool { return true }

// HearsItself reports false: a signal goes to the others.
func (*Format) HearsItself() bool { return false }

// Ready reports whether the server has said what it takes.
func (c *clientCodec) Ready() bool { return c.limit > 0 }

// KeepAlive returns a heartbeat, due at three quarters of the time that the server has announced.
func (c *clientCodec) KeepAlive() (time.Duration, core.Frame) {
	return c.heartbeat / 4 * 3, core.Frame{Kind: core.BinaryFrame, Data: []byte{typeHeartbeat}}
}

// Say writes signals, requests, and what restores or closes a session. Subscriptions are requests
// that the original does not have. A message larger than the server has announced is not said.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	var dst []byte
	answered = !cmd.OneWay
	switch cmd.Verb {
	case core.Subscribe, core.Unsubscribe:
		if !cmd.Pattern && core.HasWildcard(string(cmd.Topic)) {
			return false, &core.Unsayable{What: "a topic with a level that begins with + or #", Closest: "such a name is a pattern"}
		}
		name := nameSubscribe
		if cmd.Verb == core.Unsubscribe {
			name = nameUnsubscribe
		}
		dst, err = c.appendNamed(typeRequest, []byte(name), core.Payload{Kind: core.Text, Data: cmd.Topic})
	case core.Publish:
		switch {
		case cmd.AsOwner:
			return false, &core.Unsayable{What: "a publication as the owner of a channel", Closest: "publish without it"}
		case cmd.Headers != nil:
			return false, &core.Unsayable{What: "headers", Closest: "put them into the payload"}
		}
		answered = false
		dst, err = c.appendNamed(typeSignal, cmd.Topic, cmd.Payload)
	case core.Call:
		if cmd.Headers != nil {
			return false, &core.Unsayable{What: "headers", Closest: "put them into the payload"}
		}
		dst, err = c.appendNamed(typeRequest, cmd.Topic, cmd.Payload)
	case core.RestoreSession:
		if len(cmd.Key) == 0 {
			return false, &core.Unsayable{What: "an empty session key"}
		}
		dst = append(c.head(typeRestoreSession), cmd.Key...)
	case core.CloseSession:
		dst = c.head(typeCloseSession)
	case core.OpenSession:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "call the service by which the application signs in"}
	case core.Offer, core.Withdraw, core.Reply:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "at a broker that has topics for calls, subscribe to $serve/SERVICE and signal the answer to $reply/ID"}
	case core.UnsubscribeAll:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "unsubscribe from each topic"}
	case core.Ping:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "send a ping of WebSocket"}
	case core.Leave:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "close the connection"}
	default:
		return false, &core.Unsayable{What: cmd.Verb.String()}
	}
	if err != nil {
		return false, err
	}
	if err := core.CheckSize(len(dst), c.limit); err != nil {
		return false, err
	}
	switch {
	case answered:
		c.pending.Add(cmd)
	case cmd.Verb != core.Publish:
		c.pending.Skip()
	}
	c.buf = dst
	say(core.Frame{Kind: core.BinaryFrame, Data: dst})
	if cap(c.buf) > maxScratch {
		c.buf = nil
	}
	return answered, nil
}

// head begins a message that is answered: its type and the next id.
func (c *clientCodec) head(kind byte) []byte {
	return binary.LittleEndian.AppendUint64(append(c.buf[:0], kind), c.pending.Next())
}

// appendNamed writes a signal or a request. Bytes are binary, text that came in UTF-16 stays so, and
// all else is UTF-8.
func (c *clientCodec) appendNamed(kind byte, topic []byte, p core.Payload) ([]byte, error) {
	enc := asUTF8
	switch {
	case p.Kind == core.Binary:
		enc = asBinary
	case isWide(p) && len(p.UTF16) > 0:
		enc = asUTF16
	}
	dst := append(c.buf[:0], kind+byte(enc))
	if kind == typeRequest {
		dst = c.head(kind + byte(enc))
	}
	at := len(dst)
	dst, err := appendName(append(dst, 0), topic)
	if err != nil {
		return nil, err
	}
	name := len(dst) - at - 1
	if name > maxName {
		return nil, errNameTooLong
	}
	dst[at] = byte(name)
	if enc == asUTF16 && name%2 != 0 {
		dst = append(dst, 0)
	}
	before := len(dst)
	dst = appendContent(dst, enc, p)
	if name == 0 && len(dst) == before {
		return nil, &core.Unsayable{What: "a message without name and payload"}
	}
	return dst, nil
}

// Forget gives up the requests with this ref.
func (c *clientCodec) Forget(ref []byte) { c.pending.Forget(ref) }

var (
	errServer  = errors.New("no message of a webwire server")
	errVersion = errors.New("the server speaks another version of webwire")
)

// Hear tells what a message of a server means.
func (c *clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	if f.Kind != core.BinaryFrame {
		return fmt.Errorf("%w: it is text", errServer)
	}
	m, err := parse(f.Data)
	if err != nil {
		return fmt.Errorf("%w: %w", errServer, err)
	}
	switch m.kind {
	case typeAcceptConf:
		return c.accepted(f.Data, tell)
	case typeSignal:
		if m.encoding == asUTF8 && !utf8.Valid(m.payload) {
			return fmt.Errorf("%w: %w", errServer, errUTF8)
		}
		tell(core.Event{Kind: core.Message, Topic: topicOf(m.name), Payload: m.content()})
	case typeSessionCreated:
		s, err := readSession(f.Data[1:])
		if err != nil {
			return err
		}
		tell(core.Event{Kind: core.SessionOpened, Verb: core.OpenSession, Session: s})
	case typeSessionClosed:
		tell(core.Event{Kind: core.SessionClosed})
	case typeErrorReply, typeShutdownReply, typeInternalReply, typeSessionNotFound, typeSessionFull, typeSessionsOff,
		typeReply, typeReply + byte(asUTF8), typeReply + byte(asUTF16):
		return c.replied(f.Data, tell)
	}
	return nil
}

// accepted reads what the server has announced.
func (c *clientCodec) accepted(data []byte, tell func(core.Event)) error {
	if data[1] != version {
		return fmt.Errorf("%w: %d.%d, not %d", errVersion, data[1], data[2], version)
	}
	c.heartbeat = time.Duration(binary.LittleEndian.Uint32(data[3:])) * time.Millisecond
	c.limit = int(binary.LittleEndian.Uint32(data[7:]))
	tell(core.Event{Kind: core.Welcome})
	return nil
}

// replied hears the outcome of a request.
func (c *clientCodec) replied(data []byte, tell func(core.Event)) error {
	id := binary.LittleEndian.Uint64(data[1:])
	said, ok := c.pending.Get(id)
	if !ok {
		return nil // of a request that was given up
	}
	ev := core.Event{Kind: core.Answer, Verb: said.Verb, Ref: said.Ref, Topic: said.Topic}
	body := data[refSize:]
	switch kind := data[0]; kind {
	case typeErrorReply:
		end := 1 + int(body[0])
		ev.Kind, ev.Failure = core.Failed, core.Failure{Code: core.Code(body[1:end]), Text: string(body[end:])}
	case typeShutdownReply, typeInternalReply, typeSessionNotFound, typeSessionFull, typeSessionsOff:
		ev.Kind, ev.Failure = core.Failed, core.Failure{Code: codes[kind]}
	case typeReply:
		ev.Payload = core.Payload{Kind: core.Binary, Data: body}
	case typeReply + byte(asUTF8):
		if !utf8.Valid(body) {
			return fmt.Errorf("%w: %w", errServer, errUTF8)
		}
		ev.Payload = core.Payload{Kind: core.Text, Data: body}
	case typeReply + byte(asUTF16):
		ev.Payload = core.TextUTF16(body[1:])
	}
	if ev.Kind == core.Answer {
		switch said.Verb {
		case core.RestoreSession:
			s, err := readSession(body)
			if err != nil {
				return err
			}
			ev.Kind, ev.Session, ev.Payload = core.SessionOpened, s, core.Payload{}
		case core.Subscribe, core.Unsubscribe, core.CloseSession:
			ev.Kind, ev.Payload = core.Done, core.Payload{}
		}
	}
	c.pending.End(id)
	tell(ev)
	return nil
}

// codes are the failures that have a type of their own.
var codes = map[byte]core.Code{
	typeShutdownReply: core.Shutdown, typeInternalReply: core.Internal, typeSessionNotFound: core.SessionUnknown,
	typeSessionFull: core.SessionFull, typeSessionsOff: core.SessionsOff,
}

// readSession reads what appendSession writes.
func readSession(data []byte) (core.Session, error) {
	var s struct {
		Key     string          `json:"k"`
		Created time.Time       `json:"c"`
		Looked  time.Time       `json:"l"`
		Info    json.RawMessage `json:"i"`
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return core.Session{}, fmt.Errorf("%w: reading the session: %w", errServer, err)
	}
	if s.Key == "" {
		return core.Session{}, fmt.Errorf("%w: a session without a key", errServer)
	}
	return core.Session{Key: s.Key, Created: s.Created, LastLookup: s.Looked, Info: s.Info}, nil
}
