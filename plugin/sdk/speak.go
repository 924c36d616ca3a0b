package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// Speak answers the questions about one connection to a server until the host ends the stream.
func (s *service) Speak(stream grpc.BidiStreamingServer[codecpb.ClientQuestions, codecpb.ClientAnswers]) error {
	format, err := s.described()
	if err != nil {
		return err
	}
	f, ok := format.(core.ClientFormat)
	if !ok {
		return status.Error(codes.Unimplemented, "the format has no client's side")
	}
	sp := speaker{codec: f.NewClientCodec()}
	for {
		var in contract.Packet
		if err := stream.RecvMsg(&in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answers, err := sp.answer(in.Bytes)
		if err != nil {
			slog.Error("speaking to a server", "error", err)
			return status.Error(codes.Aborted, err.Error())
		}
		if err := stream.SendMsg(&contract.Packet{Bytes: answers}); err != nil {
			return err
		}
	}
}

// speaker answers the questions about one connection to a server. It is used by one goroutine.
type speaker struct {
	codec core.ClientCodec
	alive contract.KeepAlive // as the host knows it; owns its bytes
}

// answer returns the ClientAnswers to a ClientQuestions message. An error ends the connection.
func (s *speaker) answer(questions []byte) (out []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			slog.Error("client's codec panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	elements := contract.ElementsOf(questions)
	for elements.Next() {
		q, err := contract.ReadClientQuestion(elements.Bytes())
		if err != nil {
			return nil, err
		}
		out = s.answerOne(out, &q)
	}
	if err := elements.Err(); err != nil {
		return nil, fmt.Errorf("reading questions: %w", err)
	}
	return out, nil
}

// answerOne appends the answer to q.
func (s *speaker) answerOne(dst []byte, q *contract.ClientQuestion) []byte {
	a := contract.BeginClientAnswer(dst)
	switch q.Kind {
	case contract.ClientOpen:
		if o, ok := s.codec.(core.ClientOpener); ok {
			o.Open(a.Frame)
		}
	case contract.ClientSay:
		answered, err := s.codec.Say(q.Command, a.Frame)
		unsayable, ok := errors.AsType[*core.Unsayable](err)
		switch {
		case ok:
			a.Unsayable(unsayable)
		case err != nil:
			a.Err(err)
		case answered:
			a.Answered()
		}
	case contract.ClientHear:
		if err := s.codec.Hear(q.Frame, a.Event); err != nil {
			a.Err(err)
		}
	case contract.ClientForget:
		s.codec.Forget(q.Ref)
	}
	after, message := s.codec.KeepAlive()
	if after <= 0 {
		message = core.Frame{}
	}
	if after != s.alive.After || message.Kind != s.alive.Message.Kind || !bytes.Equal(message.Data, s.alive.Message.Data) {
		s.alive = contract.KeepAlive{After: after, Message: message.Clone()}
		a.KeepAlive(s.alive)
	}
	return a.End(s.codec.Ready())
}
