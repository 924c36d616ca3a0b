package contract

import (
	"fmt"

	"github.com/polywire/polywire/core"
)

// QuestionKind says what is asked.
type QuestionKind uint8

// The questions, as codec.proto describes them.
const (
	Unknown QuestionKind = iota // of a version to come, or about an event of one: answered with nothing
	Open
	Decode
	Encode
	Message
	Closed
)

// Question is one question as the plugin reads it. Its bytes point into the message. It
// may be reused.
type Question struct {
	Kind  QuestionKind
	Conn  uint64
	Frame core.Frame // of Decode
	Event core.Event // of Encode and Message
}

// Fields of Question, and of Questions and Answers.
const (
	fieldElement field = 1

	fieldConn    field = 1
	fieldOpen    field = 2
	fieldFrame   field = 3
	fieldEvent   field = 4
	fieldMessage field = 5
	fieldClosed  field = 6
)

// AppendOpen appends the question of a new connection to a Questions message, which is
// just its questions one after another.
func AppendOpen(dst []byte, conn uint64) []byte { return appendMark(dst, conn, fieldOpen) }

// AppendClosed appends the question that tells of a connection's end.
func AppendClosed(dst []byte, conn uint64) []byte { return appendMark(dst, conn, fieldClosed) }

// AppendDecode appends the question what f means.
func AppendDecode(dst []byte, conn uint64, f core.Frame) []byte {
	dst, start := begin(dst, fieldElement, len(f.Data))
	dst = appendNumber(dst, fieldConn, conn)
	dst = appendFrame(dst, fieldFrame, f)
	return end(dst, start)
}

// AppendEncode appends the question how ev is encoded.
func AppendEncode(dst []byte, conn uint64, ev core.Event) []byte {
	dst, start := begin(dst, fieldElement, len(ev.Payload.Data))
	dst = appendNumber(dst, fieldConn, conn)
	dst = appendEvent(dst, fieldEvent, &ev)
	return end(dst, start)
}

// AppendMessage appends the question how ev is encoded for all subscribers.
func AppendMessage(dst []byte, ev core.Event) []byte {
	dst, start := begin(dst, fieldElement, len(ev.Payload.Data))
	dst = appendEvent(dst, fieldMessage, &ev)
	return end(dst, start)
}

func appendMark(dst []byte, conn uint64, num field) []byte {
	dst, start := begin(dst, fieldElement, 0)
	dst = appendNumber(dst, fieldConn, conn)
	dst, mark := begin(dst, num, 0)
	return end(end(dst, mark), start)
}

// Elements walks the questions or answers of one message of the stream.
type Elements struct{ fields fields }

// ElementsOf returns the elements of a Questions or Answers message.
func ElementsOf(message []byte) Elements { return Elements{fields{rest: message}} }

// Next goes to the next element.
func (e *Elements) Next() bool {
	for e.fields.next() {
		if e.fields.num != fieldElement {
			continue
		}
		e.fields.err = e.fields.typed(true)
		return e.fields.err == nil
	}
	return false
}

// Bytes returns the element that Next went to.
func (e *Elements) Bytes() []byte { return e.fields.data }

// Err returns why Next went no further; nil at the end of the message.
func (e *Elements) Err() error { return e.fields.err }

// ReadQuestion reads one element of a Questions message into q.
func ReadQuestion(b []byte, q *Question) (err error) {
	if q.Kind == Encode || q.Kind == Message {
		q.Event = core.Event{}
	}
	q.Kind, q.Conn, q.Frame = Unknown, 0, core.Frame{}
	f := fields{rest: b}
	for {
		if !f.next() {
			return f.err
		}
		if err := f.typed(f.num != fieldConn); err != nil {
			return fmt.Errorf("reading a question: %w", err)
		}
		switch f.num {
		case fieldConn:
			q.Conn = f.value
		case fieldOpen:
			q.Kind = Open
		case fieldFrame:
			q.Kind = Decode
			q.Frame, err = readFrame(f.data)
		case fieldEvent:
			err = q.readEvent(f.data, Encode)
		case fieldMessage:
			err = q.readEvent(f.data, Message)
		case fieldClosed:
			q.Kind = Closed
		}
		if err != nil {
			return fmt.Errorf("reading a question: %w", err)
		}
	}
}

// readEvent reads the event that q is about. q is of the kind given if the event is known.
func (q *Question) readEvent(b []byte, kind QuestionKind) error {
	known, err := readEvent(b, &q.Event)
	if q.Kind = kind; !known {
		q.Kind, q.Event = Unknown, core.Event{}
	}
	return err
}
