package stocking

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// recorder writes down what the codec asks for, a line each.
type recorder struct{ lines []string }

func (r *recorder) Do(c core.Command) {
	line := fmt.Sprintf("%s %q", c.Verb, c.Topic)
	if c.Ref != nil {
		line += fmt.Sprintf(" ref=%q", c.Ref)
	}
	if c.Payload.Kind != core.Absent {
		line += fmt.Sprintf(" kind=%d %s", c.Payload.Kind, c.Payload.Data)
	}
	if c.NotToSelf {
		line += " not-to-self"
	}
	if c.OneWay {
		line += " one-way"
	}
	r.lines = append(r.lines, line)
}

func (r *recorder) Refuse(reason core.Reason, ref []byte, f core.Failure) {
	r.lines = append(r.lines, fmt.Sprintf("refuse %s %q %v", reason, ref, f))
}

func newFormat(t testing.TB) *Format {
	t.Helper()
	p := Protocol()
	o := p.Options()
	if err := p.Validate(o); err != nil {
		t.Fatal(err)
	}
	f, err := p.New(o, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Format)
}

func decode(t testing.TB, kind core.FrameKind, text string) string {
	var r recorder
	err := newFormat(t).Decode(core.Frame{Kind: kind, Data: []byte(text)}, &r)
	if v, ok := errors.AsType[*core.Violation](err); ok {
		r.lines = append(r.lines, "violation "+v.Reason.String())
	} else if err != nil {
		r.lines = append(r.lines, "error "+err.Error())
	}
	return strings.Join(r.lines, "; ")
}

func TestDecode(t *testing.T) {
	tests := []struct{ in, want string }{
		{"0,,", ""},
		{"0,x,y", ""},
		{"1,0,whatever", ""},
		{"2,,", `leave ""`},
		{"2", `leave ""`},
		{"2,", `leave ""`},
		{"3,,", `ping ""`},
		{"3,x,y,z", `ping ""`},
		{"3", `ping ""`},
		{"3,", `ping ""`},
		{`4,7,{"e":"auth","p":{"n":9007199254740993}}`, `call "auth" ref="7" kind=1 {"n":9007199254740993}`},
		{`4,0,{"e":"auth","p":1}`, `call "auth" ref="0" kind=1 1 one-way`},
		{`4,00,{"e":"auth","p":"x"}`, `call "auth" ref="00" kind=1 "x"`},
		{`4,,{"e":"auth","p":[]}`, `call "auth" ref="" kind=1 []`},
		{`4,word,{"p":null}`, `call "" ref="word" kind=1 null`},
		{`4,1,{"e":"a\u0062"}`, `call "ab" ref="1"`},
		{`4,1,{"e":"a","p":1e400}`, `call "a" ref="1" kind=1 1e400`},
		{`4,1,{e:"auth",p:"x"}`, "violation malformed"},
		{`4,1,[1]`, "violation malformed"},
		{`4,1,{"e":5}`, "violation malformed"},
		{`4,1,{"e":"a"} x`, "violation malformed"},
		{`4,1,`, "violation malformed"},
		{`4,1,{"p":` + strings.Repeat("[", 20000), "violation too_deep"},
		{"5,room,hello, world, and more", `publish "room" kind=2 hello, world, and more not-to-self`},
		{"5,room,", `publish "room" kind=2  not-to-self`},
		{"5,,x", `publish "" kind=2 x not-to-self`},
		{"5,a%2Cb,x", `publish "a,b" kind=2 x not-to-self`},
		{"5,100%,x", `publish "100%" kind=2 x not-to-self`},
		{"6,1,room", `subscribe "room"`},
		{"6,0,room", `unsubscribe "room"`},
		{"6,1,", `subscribe ""`},
		{"6,1, room ", `subscribe " room "`},
		{"6,1,a,b", `subscribe "a,b"`},
		{"6,2,room", `refuse unknown_type "" `},
		{"7,,", `refuse unknown_type "" `},
		{"x,y,z", `refuse unknown_type "" `},
		{"", "violation malformed"},
		{"4", "violation malformed"},
		{"5,room", "violation malformed"},
		{",a,b", "violation malformed"},
		{"hello", "violation malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.in[:min(len(tt.in), 40)], func(t *testing.T) {
			for _, kind := range []core.FrameKind{core.TextFrame, core.BinaryFrame} {
				if got := decode(t, kind, tt.in); got != tt.want {
					t.Errorf("kind %d: %s; want %s", kind, got, tt.want)
				}
			}
		})
	}
	if got := decode(t, core.BinaryFrame, "5,room,\xff"); got != "violation invalid_utf8" {
		t.Errorf("binary that is no text: %s", got)
	}
}

func TestOpenJoinsOwnRoom(t *testing.T) {
	var r recorder
	newFormat(t).Open(12, &r)
	if got := strings.Join(r.lines, "; "); got != `subscribe "12"` {
		t.Error(got)
	}
}

func TestEncode(t *testing.T) {
	json := func(s string) core.Payload { return core.Payload{Kind: core.JSON, Data: []byte(s)} }
	text := func(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }
	tests := []struct {
		name string
		ev   core.Event
		want string
	}{
		{"welcome", core.Event{Kind: core.Welcome}, "0"},
		{"pong", core.Event{Kind: core.Pong}, "3"},
		{"message", core.Event{Kind: core.Message, Topic: []byte("room"), Payload: text("a, b")}, "5,room,a, b"},
		{"empty message", core.Event{Kind: core.Message, Topic: []byte(""), Payload: text("")}, "5,,"},
		{"JSON message", core.Event{Kind: core.Message, Topic: []byte("r"), Payload: json(`{"n":9007199254740993}`)}, `5,r,{"n":9007199254740993}`},
		{"JSON string", core.Event{Kind: core.Message, Topic: []byte("r"), Payload: json(`"x\ny"`)}, "5,r,x\ny"},
		{"comma in the topic", core.Event{Kind: core.Message, Topic: []byte("a,b"), Payload: text("x")}, "5,a%2Cb,x"},
		{"answer", core.Event{Kind: core.Answer, Ref: []byte("7"), Payload: json(`{"a":1}`)}, `4,7,{"c":-1,"p":{"a":1}}`},
		{"text answer", core.Event{Kind: core.Answer, Ref: []byte("w"), Payload: text("hi")}, `4,w,{"c":-1,"p":"hi"}`},
		{"empty answer", core.Event{Kind: core.Answer, Ref: []byte("")}, "4,,"},
		{"failure", core.Event{Kind: core.Failed, Verb: core.Call, Ref: []byte("7"), Failure: core.Failure{Code: core.Timeout, Text: `no "answer"`}}, `4,7,{"c":0,"p":"no \"answer\""}`},
		{"failure without text", core.Event{Kind: core.Failed, Verb: core.Call, Ref: []byte("7"), Failure: core.Failure{Code: core.Gone}}, `4,7,{"c":0,"p":"gone"}`},
		{"answerer's own code", core.Event{Kind: core.Failed, Verb: core.Call, Ref: []byte("7"), Failure: core.Failure{Code: "42", Text: "no"}}, `4,7,{"c":42,"p":"no"}`},
		{"unknown route", core.Event{Kind: core.Failed, Verb: core.Call, Ref: []byte("7"), Failure: core.Failure{Code: core.NoService}}, `4,7,{"c":-1,"p":{}}`},
		{"failure nobody waits for", core.Event{Kind: core.Failed, Verb: core.Call, Ref: []byte("0"), Failure: core.Failure{Code: core.Gone}}, ""},
		{"call taken", core.Event{Kind: core.Done, Verb: core.Call, Ref: []byte("7")}, ""},
		{"joined", core.Event{Kind: core.Done, Verb: core.Subscribe}, ""},
		{"heard", core.Event{Kind: core.Done, Verb: core.Publish, Topic: []byte("r")}, ""},
		{"unheard", core.Event{Kind: core.Done, Verb: core.Publish, Topic: []byte(`r"x`), Unheard: true}, `1,0,Channel "r"x" not found`},
		{"refused", core.Event{Kind: core.Failed, Verb: core.Publish, Failure: core.Failure{Code: core.NotOwner, Text: "not yours"}}, "1,0,not yours"},
		{"goodbye", core.Event{Kind: core.Goodbye}, ""},
		{"an offer, which clients make by topic", core.Event{Kind: core.OfferLost, Topic: []byte("s"), Failure: core.Failure{Code: core.Taken, Text: "taken"}}, ""},
	}
	f := newFormat(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, kind, err := f.Encode([]byte("before"), tt.ev)
			if err != nil || string(got) != "before"+tt.want || (kind == core.NoFrame) != (tt.want == "") {
				t.Errorf("%q, kind %d, %v; want %q", got, kind, err, tt.want)
			}
		})
	}
}

func TestRoomNames(t *testing.T) {
	for _, topic := range []string{"", "a", "a,b", ",", "a%2Cb", "a%252Cb", "%25252C", "100%", "%25", "%2", "%", "%2c", "a%20b", "%%2C,%"} {
		room := appendRoom(nil, []byte(topic))
		if strings.Contains(string(room), ",") || string(unescapeRoom(room)) != topic {
			t.Errorf("topic %q is room %q is topic %q", topic, room, unescapeRoom(room))
		}
	}
	for room, want := range map[string]string{"a%2Cb": "a,b", "a%252Cb": "a%2Cb", "100%": "100%", "%2c": "%2c"} {
		if got := string(unescapeRoom([]byte(room))); got != want {
			t.Errorf("room %q is topic %q, want %q", room, got, want)
		}
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	f := newFormat(t)
	frame := []byte("5,room," + strings.Repeat("x", 128))
	var sink discard
	if n := testing.AllocsPerRun(100, func() { _ = f.Decode(core.Frame{Kind: core.TextFrame, Data: frame}, sink) }); n != 0 {
		t.Errorf("decoding a broadcast: %v allocations", n)
	}
	dst := make([]byte, 0, 256)
	ev := core.Event{Kind: core.Message, Topic: []byte("room"), Payload: core.Payload{Kind: core.Text, Data: frame}}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = f.EncodeMessage(dst, ev) }); n != 0 {
		t.Errorf("encoding a message: %v allocations", n)
	}
}

type discard struct{}

func (discard) Do(core.Command)                          {}
func (discard) Refuse(core.Reason, []byte, core.Failure) {}

// A client's message costs memory in proportion to its size, whatever it is. If it cost time
// by the square of its size, this test would take minutes.
func TestHostileMessages(t *testing.T) {
	const many = 20_000
	messages := map[string]string{
		"commas":            strings.Repeat(",", many),
		"percents":          "5," + strings.Repeat("%25", many) + "2C,x",
		"one long escape":   "5,%" + strings.Repeat("25", many) + "2C,x",
		"escapes":           "5," + strings.Repeat("%2C", many) + ",x",
		"a room of commas":  "6,1," + strings.Repeat(",", many),
		"a room of escapes": "6,1," + strings.Repeat("%2C,", many) + strings.Repeat("%", many),
		"a long code":       "4," + strings.Repeat("7", many) + `,{"e":"a"}`,
		"a long content":    "5,a," + strings.Repeat(`"`, many),
	}
	for name, content := range coretest.HostileJSON("e", "p") {
		messages["a call of "+name] = "4,1," + content
		messages["a broadcast of "+name] = "5,room," + content
	}
	for name, message := range messages {
		t.Run(name, func(t *testing.T) {
			coretest.FrugalCodec(t, newFormat(t), core.Frame{Kind: core.TextFrame, Data: []byte(message)})
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"0,,", "3", `4,1,{"e":"a","p":1}`, "5,a%2Cb,x", "6,1,room", "5,%2525,", "4,1,{\"e\":\"\\u00"} {
		f.Add([]byte(s), false)
	}
	for _, message := range coretest.Said(f, "../../conversations/stocking/*.txt") {
		f.Add(message, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, binary bool) {
		kind := core.TextFrame
		if binary {
			kind = core.BinaryFrame
		}
		format := newFormat(t)
		coretest.FrugalCodec(t, format, core.Frame{Kind: kind, Data: data})
		var r recorder
		_ = format.Decode(core.Frame{Kind: kind, Data: data}, &r)
		if len(r.lines) > 1 {
			t.Fatalf("%q became %q", data, r.lines)
		}
		if room := appendRoom(nil, data); string(unescapeRoom(room)) != string(data) {
			t.Fatalf("topic %q is room %q", data, room)
		}
	})
}
