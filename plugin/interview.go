package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// Interview is one process of a plugin that is asked without a broker, to find out how it
// keeps the contract. It is used by one goroutine.
type Interview struct {
	candidate candidate
	end       func()
	stream    grpc.ClientStream // nil until the first Ask
	cancel    context.CancelFunc
}

// NewInterview starts a plugin. Its output goes to log. Close ends it.
func NewInterview(o Options, log *slog.Logger) (*Interview, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	p, end, err := startApart(o, log)
	if err != nil {
		return nil, err
	}
	return &Interview{candidate: candidate{endpoint: "interview", options: o, process: p}, end: end}, nil
}

// Close ends the plugin.
func (i *Interview) Close() {
	if i.cancel != nil {
		i.cancel()
	}
	i.end()
}

// Describe asks the plugin to describe itself with these options. Its problems with them
// are in the description; the error means that there is no usable description.
func (i *Interview) Describe(options map[string]any) (*codecpb.Description, error) {
	d, _, err := i.candidate.describe(options, 0)
	return d, err
}

// Reply is the answer to one question, as the broker reads it.
type Reply struct {
	// Commands are those of the steps.
	Commands []core.Command
	// Frame is what the client reads.
	Frame core.Frame
	// Err is a [core.Violation], or says why an event cannot be written.
	Err error
}

// Misreply is an answer that breaks the contract. The broker would end the process, or
// at least the connection.
type Misreply struct {
	// Question is the index of the question that it answers.
	Question int
	Err      error
}

func (m *Misreply) Error() string { return m.Err.Error() }

// Unwrap returns Err.
func (m *Misreply) Unwrap() error { return m.Err }

// Ask asks questions in one message, after Describe, and returns the answer to each. If
// the error is not a [Misreply], the process has ended or has exceeded AnswerTimeout; then
// only Close is left. The questions must not be of kind Unknown.
func (i *Interview) Ask(questions []contract.Question) ([]Reply, error) {
	if err := i.open(); err != nil {
		return nil, err
	}
	var message []byte
	for _, q := range questions {
		message = appendQuestion(message, q)
	}
	answers, err := i.exchange(message, len(questions))
	if err != nil {
		return nil, err
	}
	replies := make([]Reply, len(answers))
	for n, answer := range answers {
		if err := replies[n].read(questions[n].Kind, answer); err != nil {
			return nil, &Misreply{n, err}
		}
	}
	return replies, nil
}

// NewClientCodec returns the client's side of a connection to a server, after Describe. A wrong answer ends
// the process.
func (i *Interview) NewClientCodec() core.RemoteClientCodec {
	p := i.candidate.process
	return newClientCodec(p, i.candidate.options.AnswerTimeout, func(error) { p.kill() })
}

func appendQuestion(dst []byte, q contract.Question) []byte {
	switch q.Kind {
	case contract.Open:
		return contract.AppendOpen(dst, q.Conn)
	case contract.Decode:
		return contract.AppendDecode(dst, q.Conn, q.Frame)
	case contract.Encode:
		return contract.AppendEncode(dst, q.Conn, q.Event)
	case contract.Message:
		return contract.AppendMessage(dst, q.Event)
	}
	return contract.AppendClosed(dst, q.Conn)
}

// open opens the stream if there is none yet.
func (i *Interview) open() error {
	if i.stream != nil {
		return nil
	}
	var ctx context.Context
	ctx, i.cancel = context.WithCancel(context.Background())
	var err error
	if i.stream, err = i.candidate.process.translate(ctx); err != nil {
		return fmt.Errorf("opening the stream: %w", err)
	}
	return nil
}

// exchange sends a message of n questions and receives the answers. If that fails or times
// out, it ends the process.
func (i *Interview) exchange(message []byte, n int) ([][]byte, error) {
	limit := i.candidate.options.AnswerTimeout
	var hung atomic.Bool
	late := time.AfterFunc(limit, func() { hung.Store(true); i.candidate.process.kill() })
	err := i.stream.SendMsg(&contract.Packet{Bytes: message})
	var in contract.Packet
	if err == nil {
		err = i.stream.RecvMsg(&in)
	}
	late.Stop()
	if err == nil {
		return cut(in.Bytes, nil, n)
	}
	i.candidate.process.end() // its last output is there now
	why := fmt.Errorf("it ended (%w)", err)
	if hung.Load() {
		why = fmt.Errorf("it gave no answer within %s", limit)
	}
	if last := i.candidate.process.output.last(); last != "" {
		why = fmt.Errorf("%w; the last that it said: %s", why, last)
	}
	return nil, why
}

// collector takes the steps of an answer.
type collector struct {
	reply *Reply
	fault error
}

// Room returns a new frame.
func (c *collector) Room() *core.Frame { return new(core.Frame) }

// Command keeps a command.
func (c *collector) Command(cmd core.Command, expected *core.Frame) {
	c.fault = errors.Join(c.fault, faultOf(&cmd))
	if expected != sound(expected) {
		c.fault = errors.Join(c.fault, errNotUTF8)
	}
	c.reply.Commands = append(c.reply.Commands, cmd)
}

// Refusal only checks expected.
func (c *collector) Refusal(_ core.Reason, _ []byte, _ core.Failure, expected *core.Frame) {
	if expected != sound(expected) {
		c.fault = errors.Join(c.fault, errNotUTF8)
	}
}

// read reads an answer to a question of a kind.
func (r *Reply) read(kind contract.QuestionKind, answer []byte) error {
	var steps contract.Steps
	c := collector{reply: r}
	if kind == contract.Open || kind == contract.Decode {
		steps = &c
	}
	out, err := contract.ReadAnswer(answer, steps)
	if err == nil {
		err = c.fault
	}
	if err == nil && out.Frame.Kind == core.TextFrame && !utf8.Valid(out.Frame.Data) {
		err = errNotUTF8
	}
	r.Frame, r.Err = out.Frame, out.Err
	return err
}
