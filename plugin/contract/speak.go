package contract

import (
	"fmt"
	"math"
	"time"

	"github.com/polywire/polywire/core"
)

// Fields of ClientQuestion, ClientAnswer, Unsayable and KeepAlive.
const (
	clientOpen   field = 1
	clientSay    field = 2
	clientHear   field = 3
	clientForget field = 4

	clientFrames    field = 1
	clientEvents    field = 2
	clientAnswered  field = 3
	clientUnsayable field = 4
	clientError     field = 5
	clientReady     field = 6
	clientKeepAlive field = 7

	unsayableWhat    field = 1
	unsayableClosest field = 2
	keepAliveAfter   field = 1
	keepAliveMessage field = 2
)

// ClientQuestionKind says what a client's side is asked.
type ClientQuestionKind uint8

// The questions, as codec.proto describes them.
const (
	ClientUnknown ClientQuestionKind = iota // of a version to come: answered with nothing
	ClientOpen
	ClientSay
	ClientHear
	ClientForget
)

// ClientQuestion is one question to the client's side of a format. As it is read, its bytes point into
// the message.
type ClientQuestion struct {
	Kind    ClientQuestionKind
	Command core.Command // of ClientSay
	Frame   core.Frame   // of ClientHear
	Ref     []byte       // of ClientForget
}

// AppendClientQuestion appends a question to a ClientQuestions message, which is just its questions one
// after another. q.Kind must be known.
func AppendClientQuestion(dst []byte, q *ClientQuestion) []byte {
	dst, start := begin(dst, fieldElement, 0)
	switch q.Kind {
	case ClientOpen:
		var inner int
		dst, inner = begin(dst, clientOpen, 0)
		dst = end(dst, inner)
	case ClientSay:
		dst = appendCommand(dst, clientSay, &q.Command, nil)
	case ClientHear:
		dst = appendFrame(dst, clientHear, q.Frame)
	case ClientForget:
		dst = appendBytes(dst, clientForget, notNil(q.Ref))
	}
	return end(dst, start)
}

// ReadClientQuestion reads one element of a ClientQuestions message.
func ReadClientQuestion(b []byte) (q ClientQuestion, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return q, f.err
		}
		if err := f.typed(true); err != nil {
			return q, fmt.Errorf("reading a question: %w", err)
		}
		switch f.num {
		case clientOpen:
			q.Kind = ClientOpen
		case clientSay:
			q.Kind, q.Command = ClientSay, core.Command{}
			var room frameRoom
			_, err = readCommand(f.data, &q.Command, &room)
		case clientHear:
			q.Kind = ClientHear
			q.Frame, err = readFrame(f.data)
		case clientForget:
			q.Kind, q.Ref = ClientForget, f.data
		}
		if err != nil {
			return q, fmt.Errorf("reading a question: %w", err)
		}
	}
}

// frameRoom takes the expected frame of a command, which a host does not send.
type frameRoom struct{ frame core.Frame }

func (r *frameRoom) Room() *core.Frame                                    { return &r.frame }
func (*frameRoom) Command(core.Command, *core.Frame)                      {}
func (*frameRoom) Refusal(core.Reason, []byte, core.Failure, *core.Frame) {}

// KeepAlive is what a client says after a time without a message; 0 is never.
type KeepAlive struct {
	After   time.Duration
	Message core.Frame
}

// ClientAnswer writes one answer at the end of a ClientAnswers message: BeginClientAnswer begins it, End
// ends it. It is used by one goroutine.
type ClientAnswer struct {
	dst   []byte
	start int
}

// BeginClientAnswer begins an answer at the end of dst.
func BeginClientAnswer(dst []byte) ClientAnswer {
	dst, start := begin(dst, fieldElement, 0)
	return ClientAnswer{dst: dst, start: start}
}

// Frame adds a frame to say.
func (a *ClientAnswer) Frame(f core.Frame) { a.dst = appendFrame(a.dst, clientFrames, f) }

// Event adds an event that was heard.
func (a *ClientAnswer) Event(ev core.Event) { a.dst = appendEvent(a.dst, clientEvents, &ev) }

// Answered adds that the outcome will be heard.
func (a *ClientAnswer) Answered() { a.dst = appendBool(a.dst, clientAnswered, true) }

// Unsayable adds that the format has no words for the command.
func (a *ClientAnswer) Unsayable(u *core.Unsayable) {
	dst, start := begin(a.dst, clientUnsayable, 0)
	dst = appendString(dst, unsayableWhat, u.What)
	dst = appendString(dst, unsayableClosest, u.Closest)
	a.dst = end(dst, start)
}

// Err adds another error of Say or Hear.
func (a *ClientAnswer) Err(err error) { a.dst = appendString(a.dst, clientError, err.Error()) }

// KeepAlive adds a keep-alive that is another one than before.
func (a *ClientAnswer) KeepAlive(k KeepAlive) {
	dst, start := begin(a.dst, clientKeepAlive, 0)
	// Rounded down, but not to never.
	dst = appendNumber(dst, keepAliveAfter, uint64(max((k.After)/time.Millisecond, min(k.After, 1), 0)))
	if k.After > 0 {
		dst = appendFrame(dst, keepAliveMessage, k.Message)
	}
	a.dst = end(dst, start)
}

// End returns dst with the answer, and whether commands can be said.
func (a *ClientAnswer) End(ready bool) []byte {
	return end(appendBool(a.dst, clientReady, ready), a.start)
}

// ClientReply is an answer as the host reads it, without its frames and events. Its bytes point into the
// message.
type ClientReply struct {
	Answered  bool
	Unsayable *core.Unsayable // nil if something was said
	Error     string          // "" if there is none
	Ready     bool
	KeepAlive *KeepAlive // nil if it is as before
}

// ReadClientAnswer reads one element of a ClientAnswers message. It passes on the frames and the events,
// but for those of a version to come.
func ReadClientAnswer(b []byte, say func(core.Frame), tell func(core.Event)) (r ClientReply, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return r, f.err
		}
		if err := f.typed(f.num != clientAnswered && f.num != clientReady); err != nil {
			return r, fmt.Errorf("reading an answer: %w", err)
		}
		switch f.num {
		case clientFrames:
			var frame core.Frame
			if frame, err = readFrame(f.data); err == nil {
				say(frame)
			}
		case clientEvents:
			var ev core.Event
			var known bool
			if known, err = readEvent(f.data, &ev); known && err == nil {
				tell(ev)
			}
		case clientAnswered:
			r.Answered = f.value != 0
		case clientUnsayable:
			r.Unsayable, err = readUnsayable(f.data)
		case clientError:
			r.Error = string(f.data)
		case clientReady:
			r.Ready = f.value != 0
		case clientKeepAlive:
			r.KeepAlive, err = readKeepAlive(f.data)
		}
		if err != nil {
			return r, fmt.Errorf("reading an answer: %w", err)
		}
	}
}

func readUnsayable(b []byte) (*core.Unsayable, error) {
	u := new(core.Unsayable)
	f := fields{rest: b}
	for f.next() {
		switch f.num {
		case unsayableWhat:
			u.What = string(f.data)
		case unsayableClosest:
			u.Closest = string(f.data)
		}
	}
	return u, f.err
}

func readKeepAlive(b []byte) (k *KeepAlive, err error) {
	k = new(KeepAlive)
	f := fields{rest: b}
	for {
		if !f.next() {
			return k, f.err
		}
		if err := f.typed(f.num != keepAliveAfter); err != nil {
			return k, fmt.Errorf("reading a keep-alive: %w", err)
		}
		switch f.num {
		case keepAliveAfter:
			k.After = time.Duration(min(f.value, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
		case keepAliveMessage:
			if k.Message, err = readFrame(f.data); err != nil {
				return k, err
			}
		}
	}
}
