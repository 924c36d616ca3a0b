package sdk

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// talkative is a format that has a word for every event, and its codec.
type talkative struct{}

func (talkative) NewCodec() core.Codec { return talkative{} }

func (talkative) Profile() core.Profile { return core.Profile{MaxMessage: 1} }

func (talkative) Goodbye(r core.Reason) (uint16, string) { return r.CloseCode(), "" }

func (talkative) Decode(core.Frame, core.Sink) error { return nil }

func (talkative) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return append(append(append(dst, ev.Kind.String()...), ' '), ev.Topic...), core.TextFrame, nil
}

func (f talkative) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return f.Encode(dst, ev)
}

// An event that a newer broker has is answered with nothing, whatever the codec does with
// what it does not know; the questions around it get their answers.
func TestUnknownEvents(t *testing.T) {
	event := func(kind codecpb.EventKind) *codecpb.Event { return &codecpb.Event{Kind: kind, Topic: []byte("news")} }
	questions, err := proto.Marshal(&codecpb.Questions{Questions: []*codecpb.Question{
		{Conn: 7, Ask: &codecpb.Question_Event{Event: event(codecpb.EventKind_EVENT_OFFER_LOST)}},
		{Conn: 7, Ask: &codecpb.Question_Event{Event: event(1000)}},
		{Ask: &codecpb.Question_Message{Message: event(1000)}},
		{Conn: 7, Ask: &codecpb.Question_Event{Event: event(codecpb.EventKind_EVENT_PONG)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := newTranslator(talkative{}, &contract.Buffers{}).answer(questions)
	if err != nil {
		t.Fatal(err)
	}
	var answers codecpb.Answers
	if err := proto.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	want := []string{"offer_lost news", "", "", "pong news"}
	if len(answers.GetAnswers()) != len(want) {
		t.Fatalf("%d answers, want %d", len(answers.GetAnswers()), len(want))
	}
	for n, a := range answers.GetAnswers() {
		if string(a.GetFrame().GetData()) != want[n] || a.GetViolation() != nil || a.GetUnwritable() != "" {
			t.Errorf("answer %d is %v, want %q", n, a, want[n])
		}
	}
}
