package contract_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

func b(s string) []byte { return []byte(s) }

var (
	id = core.CallID{1, 2, 3, 15: 16}
	// Every field of these has a value.
	command = core.Command{
		Verb: core.Offer, Ref: b("ref"), Topic: b("topic"), As: 300, Pattern: true, Channel: b("channel"), Exclusive: true,
		AsOwner: true, Services: [][]byte{b("one"), {}, b("two")}, NotToSelf: true, OneWay: true, Timeout: 7 * time.Second, Call: id,
		Payload: core.Payload{Kind: core.Text, Data: b("1"), UTF16: b("1\x00")}, Headers: b("{}"),
		Failure: core.Failure{Code: core.Gone, Text: "left"}, Key: b("key"), Source: b("source"), Topics: [][]byte{b("news"), {}},
	}
	event = core.Event{
		Kind: core.SessionOpened, Verb: core.Call, Ref: b("ref"), Topic: b("topic"), As: 300, Call: id, OneWay: true,
		Payload: core.Payload{Kind: core.Text, Data: b("1"), UTF16: b("1\x00")}, Headers: b("{}"), Unheard: true,
		Failure: core.Failure{Code: core.Gone, Text: strings.Repeat("long ", 100)},
		Session: core.Session{Key: "key", Created: time.Unix(1, 5).UTC(), LastLookup: time.Unix(2, 0).UTC(), Info: b("{}")},
	}
)

// The hand-written bytes match codec.proto: the generated types read them, and what those
// write in turn is read the same.
func TestQuestions(t *testing.T) {
	goodbye := core.Event{Kind: core.Goodbye, Reason: core.ReasonDrain}
	lost := core.Event{Kind: core.OfferLost, Topic: b("news"), As: 4, Failure: core.Failure{Code: core.Taken, Text: "by another"}}
	frame := core.Frame{Kind: core.BinaryFrame, Data: b(strings.Repeat("x", 300))}
	var message []byte
	message = contract.AppendOpen(message, 7)
	message = contract.AppendDecode(message, 7, frame)
	message = contract.AppendEncode(message, 7, event)
	message = contract.AppendMessage(message, goodbye)
	message = contract.AppendEncode(message, 7, lost)
	message = contract.AppendClosed(message, 7)
	want := []contract.Question{
		{Kind: contract.Open, Conn: 7},
		{Kind: contract.Decode, Conn: 7, Frame: frame},
		{Kind: contract.Encode, Conn: 7, Event: event},
		{Kind: contract.Message, Event: goodbye},
		{Kind: contract.Encode, Conn: 7, Event: lost},
		{Kind: contract.Closed, Conn: 7},
	}
	for range 2 {
		var got []contract.Question
		var q contract.Question // is reused, as in a plugin
		elements := contract.ElementsOf(message)
		for elements.Next() {
			if err := contract.ReadQuestion(elements.Bytes(), &q); err != nil {
				t.Fatal(err)
			}
			got = append(got, q)
		}
		if err := elements.Err(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v, %v\nwant %+v", got, err, want)
		}
		var generated codecpb.Questions
		message = again(t, message, &generated)
		requireFilled(t, generated.GetQuestions()[2].GetEvent().ProtoReflect(), "reason")
	}
}

func TestAnswers(t *testing.T) {
	pong := &core.Frame{Kind: core.TextFrame, Data: b("pong")}
	a := contract.BeginAnswer(nil)
	a.Command(&command, pong)
	a.Refusal(core.ReasonTooDeep, b("ref"), core.Failure{Code: core.Invalid}, &core.Frame{})
	a.Command(&core.Command{}, nil)
	a.Frame(core.Frame{Kind: core.TextFrame, Data: b("hello")})
	a.Err(&core.Violation{Reason: core.ReasonWrongFrame, Err: errors.New("why")})
	message := a.End()
	for range 2 {
		elements := contract.ElementsOf(message)
		if !elements.Next() {
			t.Fatal(elements.Err())
		}
		var steps recorder
		out, err := contract.ReadAnswer(elements.Bytes(), &steps)
		if err != nil {
			t.Fatal(err)
		}
		want := recorder{
			{command: command, expected: pong},
			{reason: core.ReasonTooDeep, ref: b("ref"), failure: core.Failure{Code: core.Invalid}, expected: &core.Frame{}},
			{},
		}
		if !reflect.DeepEqual(steps, want) {
			t.Errorf("read the steps %+v\nwant %+v", steps, want)
		}
		v, _ := errors.AsType[*core.Violation](out.Err)
		if string(out.Frame.Data) != "hello" || v == nil || v.Reason != core.ReasonWrongFrame || v.Err.Error() != "why" {
			t.Errorf("read %+v", out)
		}
		coretest.Frugal(t, len(message), func() { readAll(message) })
		var generated codecpb.Answers
		message = again(t, message, &generated)
		requireFilled(t, generated.GetAnswers()[0].GetSteps()[0].GetCommand().ProtoReflect())
	}
}

// again returns message as the generated types write it.
func again(t *testing.T, message []byte, to proto.Message) []byte {
	t.Helper()
	if err := proto.Unmarshal(message, to); err != nil {
		t.Fatal(err)
	}
	out, err := proto.Marshal(to)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// requireFilled fails if a field is not set, or not known: a field that is added to codec.proto
// must be added to this package.
func requireFilled(t *testing.T, m protoreflect.Message, except ...protoreflect.Name) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Errorf("%s has fields that codec.proto does not: %x", m.Descriptor().Name(), m.GetUnknown())
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) && !slices.Contains(except, f.Name()) {
			t.Errorf("%s.%s is not written", m.Descriptor().Name(), f.Name())
		}
	}
}

type step struct {
	command  core.Command
	reason   core.Reason
	ref      []byte
	failure  core.Failure
	expected *core.Frame
}

type recorder []step

func (r *recorder) Room() *core.Frame { return new(core.Frame) }

func (r *recorder) Command(c core.Command, expected *core.Frame) {
	*r = append(*r, step{command: c, expected: expected})
}

func (r *recorder) Refusal(reason core.Reason, ref []byte, f core.Failure, expected *core.Frame) {
	*r = append(*r, step{reason: reason, ref: ref, failure: f, expected: expected})
}

// Empty and absent stay different.
func TestEmptyAndAbsent(t *testing.T) {
	for _, c := range []core.Command{{}, {Ref: []byte{}, Topic: []byte{}, Payload: core.Payload{Kind: core.Text, Data: []byte{}, UTF16: []byte{}}}} {
		a := contract.BeginAnswer(nil)
		a.Command(&c, nil)
		var steps recorder
		elements := contract.ElementsOf(a.End())
		elements.Next()
		if _, err := contract.ReadAnswer(elements.Bytes(), &steps); err != nil || !reflect.DeepEqual(steps[0].command, c) {
			t.Errorf("read %+v, %v, want %+v", steps, err, c)
		}
	}
}

// A wrong estimate of a length is corrected: data of an absent payload is not written, and
// fields that the estimate leaves out make a message longer.
func TestLengths(t *testing.T) {
	for _, n := range []int{0, 1, 100, 127, 128, 129, 300, 16_383, 16_384, 20_000} {
		long := bytes.Repeat(b("x"), n)
		for _, want := range []core.Command{
			{Verb: core.Publish, Ref: long},
			{Verb: core.Publish, Payload: core.Payload{Data: long}},
			{Verb: core.Publish, Topic: long, Key: b("k")},
		} {
			a := contract.BeginAnswer(b("before"))
			a.Command(&want, &core.Frame{Kind: core.TextFrame, Data: b("f")})
			whole := a.End()
			var steps recorder
			elements := contract.ElementsOf(whole[len("before"):])
			elements.Next()
			_, err := contract.ReadAnswer(elements.Bytes(), &steps)
			want.Payload = core.Payload{}
			if err != nil || elements.Next() || elements.Err() != nil || len(steps) != 1 || !reflect.DeepEqual(steps[0].command, want) {
				t.Errorf("%d bytes: read %.80v, %v", n, steps, err)
			}
		}
	}
}

// The numbers of codec.proto, but for those of events, are those of package core, and mean
// the same.
func TestNumbers(t *testing.T) {
	verbs := codecpb.Verb(0).Descriptor().Values()
	for i := range verbs.Len() {
		if want := "VERB_" + strings.ToUpper(core.Verb(i).String()); string(verbs.ByNumber(protoreflect.EnumNumber(i)).Name()) != want {
			t.Errorf("verb %d is %s, want %s", i, verbs.ByNumber(protoreflect.EnumNumber(i)).Name(), want)
		}
	}
	if core.Verb(verbs.Len()).String() != "unknown" {
		t.Errorf("codec.proto lacks the verb %s", core.Verb(verbs.Len()))
	}
	for kind, want := range map[codecpb.PayloadKind]core.PayloadKind{
		codecpb.PayloadKind_PAYLOAD_ABSENT: core.Absent, codecpb.PayloadKind_PAYLOAD_JSON: core.JSON,
		codecpb.PayloadKind_PAYLOAD_TEXT: core.Text, codecpb.PayloadKind_PAYLOAD_BINARY: core.Binary,
	} {
		if int(kind) != int(want) {
			t.Errorf("%s is %d, want %d", kind, kind, want)
		}
	}
	for kind, want := range map[codecpb.Frame_Kind]core.FrameKind{
		codecpb.Frame_NONE: core.NoFrame, codecpb.Frame_TEXT: core.TextFrame, codecpb.Frame_BINARY: core.BinaryFrame,
	} {
		if int(kind) != int(want) {
			t.Errorf("%s is %d, want %d", kind, kind, want)
		}
	}
	for r := range core.NumReasons {
		if got, known := contract.ReasonOf(r.String()); !known || got != r {
			t.Errorf("the reason %s reads as %s", r, got)
		}
	}
}

// Every event has its number of codec.proto, in both directions. Plugins out there know these
// numbers: this list only ever grows.
func TestNumbersOfEvents(t *testing.T) {
	numbers := []string{
		"welcome", "done", "failed", "message", "request", "answer", "session_opened", "session_closed", "pong", "goodbye", "offer_lost",
	}
	values := codecpb.EventKind(0).Descriptor().Values()
	if values.Len() != len(numbers) {
		t.Errorf("codec.proto has %d events, want %d", values.Len(), len(numbers))
	}
	var kind core.EventKind
	for ; kind.String() != "unknown"; kind++ {
		message := contract.AppendEncode(nil, 7, core.Event{Kind: kind})
		elements := contract.ElementsOf(message)
		elements.Next()
		var q contract.Question
		if err := contract.ReadQuestion(elements.Bytes(), &q); err != nil || q.Kind != contract.Encode || q.Event.Kind != kind {
			t.Errorf("%s reads as %s, %v", kind, q.Event.Kind, err)
		}
		var generated codecpb.Questions
		again(t, message, &generated)
		number := generated.GetQuestions()[0].GetEvent().GetKind()
		if want := "EVENT_" + strings.ToUpper(kind.String()); number.String() != want || slices.Index(numbers, kind.String()) != int(number) {
			t.Errorf("%s has the number %d, %s in codec.proto", kind, number, number)
		}
	}
	if int(kind) != len(numbers) {
		t.Errorf("package core has %d events, want %d", kind, len(numbers))
	}
}

// An event of a broker that is newer is nothing that a codec is asked about, and leaves
// nothing in the question.
func TestUnknownEvents(t *testing.T) {
	for _, number := range []codecpb.EventKind{11, 255, 256, 300, -1} {
		ev := &codecpb.Event{Kind: number, Topic: b("topic"), Failure: &codecpb.Failure{Code: "taken"}}
		message, err := proto.Marshal(&codecpb.Questions{Questions: []*codecpb.Question{
			{Conn: 7, Ask: &codecpb.Question_Event{Event: ev}}, {Conn: 8, Ask: &codecpb.Question_Message{Message: ev}}, {Conn: 9, Ask: &codecpb.Question_Open{}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := []contract.Question{{Conn: 7}, {Conn: 8}, {Conn: 9, Kind: contract.Open}}
		var got []contract.Question
		var q contract.Question // is reused, as in a plugin
		for elements := contract.ElementsOf(message); elements.Next(); {
			if err := contract.ReadQuestion(elements.Bytes(), &q); err != nil {
				t.Fatal(err)
			}
			got = append(got, q)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("event %d: read %+v, want %+v", number, got, want)
		}
	}
}

// An answer that is cut anywhere is an error or a shorter answer, never a panic.
func TestCutAnswers(t *testing.T) {
	a := contract.BeginAnswer(nil)
	a.Command(&command, &core.Frame{Kind: core.TextFrame, Data: b("x")})
	a.Err(errors.New("why"))
	elements := contract.ElementsOf(a.End())
	elements.Next()
	whole := elements.Bytes()
	for i := range whole {
		var steps recorder
		if _, err := contract.ReadAnswer(whole[:i], &steps); err == nil && i > 0 && len(steps) == 0 {
			t.Errorf("cut at %d the answer is %+v", i, steps)
		}
	}
}

// nothing takes steps and keeps none.
type nothing struct{ room core.Frame }

func (n *nothing) Room() *core.Frame                                    { return &n.room }
func (*nothing) Command(core.Command, *core.Frame)                      {}
func (*nothing) Refusal(core.Reason, []byte, core.Failure, *core.Frame) {}

// readAll reads every element of message as an answer and as a question.
func readAll(message []byte) {
	var steps nothing
	var q contract.Question
	elements := contract.ElementsOf(message)
	for elements.Next() {
		_, _ = contract.ReadAnswer(elements.Bytes(), &steps)
		_ = contract.ReadQuestion(elements.Bytes(), &q)
		_, _ = contract.ReadClientQuestion(elements.Bytes())
		_, _ = contract.ReadClientAnswer(elements.Bytes(), func(core.Frame) {}, func(core.Event) {})
	}
}

// What a process writes costs the other side in proportion to its size, whatever it is.
func TestHostileMessages(t *testing.T) {
	const many = 20_000
	fieldOf := func(num byte, content string) string {
		return string(protowire.AppendString(protowire.AppendTag(nil, protowire.Number(num), protowire.BytesType), content))
	}
	command := func(content string) string { return fieldOf(1, fieldOf(1, fieldOf(1, content))) }
	for name, message := range map[string]string{
		"services":            command(strings.Repeat(fieldOf(9, ""), many)),
		"services of a byte":  command(strings.Repeat(fieldOf(9, "x"), many)),
		"services and topics": command(strings.Repeat(fieldOf(9, "x")+fieldOf(3, "topic"), many)),
		"failures":            command(strings.Repeat(fieldOf(16, fieldOf(1, "code")+fieldOf(2, "text")), many)),
		"commands":            fieldOf(1, strings.Repeat(fieldOf(1, fieldOf(1, "")), many)),
		"refusals":            fieldOf(1, strings.Repeat(fieldOf(1, fieldOf(2, fieldOf(1, "malformed"))), many)),
		"answers":             strings.Repeat(fieldOf(1, ""), many),
		"violations":          fieldOf(1, strings.Repeat(fieldOf(3, ""), many)),
		"texts":               fieldOf(1, strings.Repeat(fieldOf(4, ""), many)),
		"events":              fieldOf(1, strings.Repeat(fieldOf(4, fieldOf(3, "r")), many)),
		"groups":              fieldOf(1, strings.Repeat("\x0b", many)),
		"groups in groups":    fieldOf(1, strings.Repeat("\x0b", 5_000)+strings.Repeat("\x0c", 5_000)),
	} {
		t.Run(name, func(t *testing.T) {
			coretest.Frugal(t, len(message), func() { readAll([]byte(message)) })
		})
	}
}

func FuzzReadAnswer(f *testing.F) {
	a := contract.BeginAnswer(nil)
	a.Command(&command, &core.Frame{})
	a.Refusal(core.ReasonDenied, nil, core.Failure{Code: core.Denied}, nil)
	f.Add(a.End())
	f.Add(contract.AppendEncode(nil, 1, event))
	f.Add(contract.AppendEncode(nil, 1, core.Event{Kind: core.OfferLost, Topic: b("news"), As: 4, Failure: core.Failure{Code: core.Taken}}))
	f.Fuzz(func(t *testing.T, message []byte) {
		elements := contract.ElementsOf(message)
		for elements.Next() {
			var steps recorder
			_, _ = contract.ReadAnswer(elements.Bytes(), &steps)
			_ = contract.ReadQuestion(elements.Bytes(), &contract.Question{})
		}
		var generated codecpb.Answers
		if proto.Unmarshal(message, &generated) == nil && elements.Err() != nil && !strings.Contains(elements.Err().Error(), "wrong type") {
			t.Errorf("generated types read what this package does not: %v", elements.Err())
		}
	})
}

// What is asked of a client's side, and answered, is read as it was written, by the generated types too.
func TestClientQuestions(t *testing.T) {
	want := []contract.ClientQuestion{
		{Kind: contract.ClientOpen},
		{Kind: contract.ClientSay, Command: command},
		{Kind: contract.ClientHear, Frame: core.Frame{Kind: core.TextFrame, Data: b("hello")}},
		{Kind: contract.ClientForget, Ref: b("ref")},
	}
	var message []byte
	for i := range want {
		message = contract.AppendClientQuestion(message, &want[i])
	}
	for range 2 {
		var got []contract.ClientQuestion
		elements := contract.ElementsOf(message)
		for elements.Next() {
			q, err := contract.ReadClientQuestion(elements.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, q)
		}
		if err := elements.Err(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v, %v\nwant %+v", got, err, want)
		}
		var generated codecpb.ClientQuestions
		message = again(t, message, &generated)
		requireFilled(t, generated.GetQuestions()[1].GetSay().ProtoReflect(), "expected")
	}
}

func TestClientAnswers(t *testing.T) {
	a := contract.BeginClientAnswer(nil)
	a.Frame(core.Frame{Kind: core.BinaryFrame, Data: b("one")})
	a.Frame(core.Frame{Kind: core.TextFrame, Data: b("two")})
	a.Event(event)
	a.Answered()
	a.Unsayable(&core.Unsayable{What: "a call", Closest: "none"})
	a.Err(errors.New("why"))
	alive := contract.KeepAlive{After: 3 * time.Second, Message: core.Frame{Kind: core.TextFrame, Data: b("beat")}}
	a.KeepAlive(alive)
	message := a.End(true)
	for range 2 {
		elements := contract.ElementsOf(message)
		if !elements.Next() {
			t.Fatal(elements.Err())
		}
		var frames []string
		var events []core.Event
		got, err := contract.ReadClientAnswer(elements.Bytes(),
			func(f core.Frame) { frames = append(frames, string(f.Data)) }, func(ev core.Event) { events = append(events, ev) })
		want := contract.ClientReply{
			Answered: true, Unsayable: &core.Unsayable{What: "a call", Closest: "none"}, Error: "why", Ready: true, KeepAlive: &alive,
		}
		if err != nil || !reflect.DeepEqual(got, want) || !slices.Equal(frames, []string{"one", "two"}) || !reflect.DeepEqual(events, []core.Event{event}) {
			t.Fatalf("read %+v, %v, %q, %+v", got, err, frames, events)
		}
		var generated codecpb.ClientAnswers
		message = again(t, message, &generated)
		requireFilled(t, generated.GetAnswers()[0].ProtoReflect())
	}
}
