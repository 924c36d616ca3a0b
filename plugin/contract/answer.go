package contract

import (
	"errors"
	"fmt"

	"github.com/polywire/polywire/core"
)

// Fields of Answer, Step, Refusal and Violation.
const (
	answerSteps      field = 1
	answerFrame      field = 2
	answerViolation  field = 3
	answerUnwritable field = 4
	stepCommand      field = 1
	stepRefusal      field = 2
	refusalReason    field = 1
	refusalRef       field = 2
	refusalFailure   field = 3
	refusalExpected  field = 4
	violationReason  field = 1
	violationText    field = 2
)

// Answer writes one answer at the end of an Answers message: BeginAnswer begins it, End
// ends it. It is used by one goroutine.
type Answer struct {
	dst   []byte
	start int
}

// BeginAnswer begins an answer at the end of dst.
func BeginAnswer(dst []byte) Answer {
	dst, start := begin(dst, fieldElement, 0)
	return Answer{dst: dst, start: start}
}

// End returns dst with the answer.
func (a *Answer) End() []byte { return end(a.dst, a.start) }

// Command adds a command. expected may be nil.
func (a *Answer) Command(c *core.Command, expected *core.Frame) {
	dst, start := begin(a.dst, answerSteps, sizeOfCommand(c, expected))
	dst = appendCommand(dst, stepCommand, c, expected)
	a.dst = end(dst, start)
}

// Refusal adds a refusal. expected may be nil.
func (a *Answer) Refusal(r core.Reason, ref []byte, failure core.Failure, expected *core.Frame) {
	dst, start := begin(a.dst, answerSteps, 0)
	dst, inner := begin(dst, stepRefusal, 0)
	dst = appendString(dst, refusalReason, r.String())
	dst = appendBytes(dst, refusalRef, ref)
	dst = appendFailure(dst, refusalFailure, failure)
	if expected != nil {
		dst = appendFrame(dst, refusalExpected, *expected)
	}
	a.dst = end(end(dst, inner), start)
}

// Frame adds the frame that the client reads.
func (a *Answer) Frame(f core.Frame) {
	if f.Kind != core.NoFrame {
		a.dst = appendFrame(a.dst, answerFrame, f)
	}
}

// Err adds the error of Decode, or of Encode if it ends the connection.
func (a *Answer) Err(err error) {
	reason := core.ReasonMalformed
	text := err.Error()
	if v, ok := errors.AsType[*core.Violation](err); ok {
		reason, text = v.Reason, v.Err.Error()
	}
	dst, start := begin(a.dst, answerViolation, 0)
	dst = appendString(dst, violationReason, reason.String())
	dst = appendString(dst, violationText, text)
	a.dst = end(dst, start)
}

// Unwritable adds the error of Encode.
func (a *Answer) Unwritable(err error) { a.dst = appendString(a.dst, answerUnwritable, err.Error()) }

// Steps takes the steps of an answer, in order. expected is not nil if the answer says what
// the client reads for the usual outcome.
type Steps interface {
	// Room returns where the next expected frame is put.
	Room() *core.Frame
	Command(c core.Command, expected *core.Frame)
	Refusal(r core.Reason, ref []byte, failure core.Failure, expected *core.Frame)
}

// Outcome is an answer without its steps.
type Outcome struct {
	Frame core.Frame
	// Err is a [core.Violation] of the client, or why an event cannot be written.
	Err error
}

// ReadAnswer reads one element of an Answers message. It passes the steps to steps, which
// is nil where none are allowed. An error means that b is not an answer.
func ReadAnswer(b []byte, steps Steps) (o Outcome, err error) {
	f := fields{rest: b}
	// The last of several counts: only that one is worth an error value.
	var refused []byte
	var by field
	for {
		if !f.next() {
			switch by {
			case answerViolation:
				o.Err, err = readViolation(refused)
			case answerUnwritable:
				o.Err = errors.New(string(refused))
			}
			return o, errors.Join(f.err, err)
		}
		if err := f.typed(true); err != nil {
			return o, fmt.Errorf("reading an answer: %w", err)
		}
		switch f.num {
		case answerSteps:
			if steps == nil {
				return o, errors.New("steps in the answer to an event")
			}
			err = readStep(f.data, steps)
		case answerFrame:
			o.Frame, err = readFrame(f.data)
		case answerViolation, answerUnwritable:
			by, refused = f.num, f.data
		}
		if err != nil {
			return o, fmt.Errorf("reading an answer: %w", err)
		}
	}
}

func readStep(b []byte, steps Steps) error {
	f := fields{rest: b}
	for {
		if !f.next() {
			return f.err
		}
		if err := f.typed(true); err != nil {
			return err
		}
		switch f.num {
		case stepCommand:
			var c core.Command
			expected, err := readCommand(f.data, &c, steps)
			if err != nil {
				return err
			}
			steps.Command(c, expected)
		case stepRefusal:
			if err := readRefusal(f.data, steps); err != nil {
				return err
			}
		}
	}
}

func readRefusal(b []byte, steps Steps) (err error) {
	reason := core.ReasonMalformed
	var ref []byte
	var failure core.Failure
	var expected *core.Frame
	f := fields{rest: b}
	for {
		if !f.next() {
			if f.err == nil {
				steps.Refusal(reason, ref, failure, expected)
			}
			return f.err
		}
		switch f.num {
		case refusalReason:
			reason, _ = ReasonOf(string(f.data))
		case refusalRef:
			ref = f.data
		case refusalFailure:
			failure, err = readFailure(f.data)
		case refusalExpected:
			expected = steps.Room()
			*expected, err = readFrame(f.data)
		}
		if err != nil {
			return err
		}
	}
}

func readViolation(b []byte) (*core.Violation, error) {
	v := &core.Violation{Reason: core.ReasonMalformed}
	text := []byte("the plugin gave no text")
	f := fields{rest: b}
	for {
		if !f.next() {
			v.Err = errors.New(string(text))
			return v, f.err
		}
		switch f.num {
		case violationReason:
			v.Reason, _ = ReasonOf(string(f.data))
		case violationText:
			text = f.data
		}
	}
}
