package sdk

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/contract"
)

// translator answers questions. It is used by one goroutine.
type translator struct {
	format  core.Format
	shared  core.Codec            // of all connections; nil if they have state
	codecs  map[uint64]core.Codec // of each connection, if they have state
	buffers *contract.Buffers     // for answers
	scratch []byte                // where frames are encoded

	question contract.Question // that is being answered
	sink     sink              // of it
	expected core.Frame        // what foresee has returned
}

func newTranslator(f core.Format, b *contract.Buffers) *translator {
	t := &translator{format: f, buffers: b}
	if stateless(f) {
		t.shared = f.NewCodec()
	} else {
		t.codecs = make(map[uint64]core.Codec)
	}
	return t
}

// stateless reports whether one codec serves all connections.
func stateless(f core.Format) bool {
	one, other := f.NewCodec(), f.NewCodec()
	return reflect.ValueOf(one).Comparable() && reflect.ValueOf(other).Comparable() && one == other
}

// answer returns the Answers to a Questions message, which it may overwrite. An error means
// that questions is not such a message.
func (t *translator) answer(questions []byte) ([]byte, error) {
	out := (*t.buffers.Get(len(questions)))[:0]
	elements := contract.ElementsOf(questions)
	for elements.Next() {
		if err := contract.ReadQuestion(elements.Bytes(), &t.question); err != nil {
			return nil, err
		}
		out = t.answerOne(out, &t.question)
	}
	if err := elements.Err(); err != nil {
		return nil, fmt.Errorf("reading questions: %w", err)
	}
	return out, nil
}

// errPanic is the error of a codec that panicked.
var errPanic = errors.New("the codec panicked")

// answerOne appends the answer to q.
func (t *translator) answerOne(dst []byte, q *contract.Question) (out []byte) {
	t.sink = sink{translator: t, answer: contract.BeginAnswer(dst)}
	a := &t.sink.answer
	defer func() {
		if v := recover(); v != nil {
			slog.Error("codec panicked", "conn", q.Conn, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			*a = contract.BeginAnswer(dst)
			a.Err(&core.Violation{Reason: core.ReasonInternal, Err: errPanic})
			out = a.End()
		}
	}()
	switch q.Kind {
	case contract.Open:
		t.open(a, q.Conn)
	case contract.Decode:
		if codec := t.codecOf(q.Conn); codec != nil {
			t.sink.codec = codec
			if err := codec.Decode(q.Frame, &t.sink); err != nil {
				a.Err(err)
			}
		}
	case contract.Encode:
		if codec := t.codecOf(q.Conn); codec != nil {
			t.encode(a, codec.Encode, q.Event)
		}
	case contract.Message:
		t.encode(a, t.format.EncodeMessage, q.Event)
	case contract.Closed:
		delete(t.codecs, q.Conn)
	}
	return a.End()
}

// codecOf returns the codec of a connection; nil if it is closed.
func (t *translator) codecOf(conn uint64) core.Codec {
	if t.shared != nil {
		return t.shared
	}
	return t.codecs[conn]
}

// open answers Open: the connection's own commands and its greeting.
func (t *translator) open(a *contract.Answer, conn uint64) {
	codec := t.shared
	if codec == nil {
		codec = t.format.NewCodec()
		t.codecs[conn] = codec
	}
	if o, ok := codec.(core.Opener); ok {
		t.sink.codec = codec
		o.Open(conn, &t.sink)
	}
	t.encode(a, codec.Encode, core.Event{Kind: core.Welcome})
}

// encode adds the frame for ev.
func (t *translator) encode(a *contract.Answer, encode func([]byte, core.Event) ([]byte, core.FrameKind, error), ev core.Event) {
	b, kind, err := encode(t.scratch[:0], ev)
	if _, ends := errors.AsType[*core.Violation](err); ends {
		a.Err(err)
	} else if err != nil {
		a.Unwritable(err)
		return
	}
	t.keep(b)
	a.Frame(core.Frame{Kind: kind, Data: b})
}

// maxScratch is the biggest buffer that is kept for the next frame.
const maxScratch = 64 << 10

func (t *translator) keep(b []byte) {
	if cap(b) <= maxScratch {
		t.scratch = b
	}
}

// sink is the core.Sink of one question.
type sink struct {
	translator *translator
	codec      core.Codec
	answer     contract.Answer
}

var _ core.Sink = (*sink)(nil)

// Do adds a command to the answer.
func (s *sink) Do(c core.Command) {
	ev := core.Event{Kind: core.Done, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As}
	switch c.Verb {
	case core.None, core.Leave, core.Call, core.OpenSession, core.RestoreSession, core.CloseSession:
		s.answer.Command(&c, nil)
		return
	case core.Ping:
		ev = core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As}
	}
	s.answer.Command(&c, s.foresee(ev))
}

// Refuse adds a refusal to the answer.
func (s *sink) Refuse(r core.Reason, ref []byte, f core.Failure) {
	var expected *core.Frame
	if f.Failed() {
		expected = s.foresee(core.Event{Kind: core.Failed, Ref: ref, Failure: f})
	}
	s.answer.Refusal(r, ref, f, expected)
}

// foresee encodes ev, which may or may not happen. It returns nil if the codec has state,
// because then it must not be asked.
func (s *sink) foresee(ev core.Event) *core.Frame {
	t := s.translator
	if t.shared == nil {
		return nil
	}
	b, kind, err := s.codec.Encode(t.scratch[:0], ev)
	if err != nil {
		return nil
	}
	t.keep(b)
	t.expected = core.Frame{Kind: kind, Data: b}
	return &t.expected
}
