package wsify

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// newFormat returns a format with the defaults, changed by set.
func newFormat(t testing.TB, max int, set func(*Options)) *Format {
	t.Helper()
	p := Protocol()
	o := p.Options()
	if set != nil {
		set(o.(*Options))
	}
	if err := p.Validate(o); err != nil {
		t.Fatal(err)
	}
	f, err := p.New(o, max)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Format)
}

// recorder writes down what the codec says, in the words of testdata/decode.txt.
type recorder struct {
	frame    []byte
	lines    []string
	commands int
	refused  int
}

func (r *recorder) Refuse(reason core.Reason, ref []byte, f core.Failure) {
	r.refused++
	r.lines = append(r.lines, "refuse "+reason.String())
	if ref != nil || f.Failed() {
		r.lines = append(r.lines, fmt.Sprintf("answer %q %v", ref, f))
	}
}

func (r *recorder) Do(c core.Command) {
	r.commands++
	line := fmt.Sprintf("%s %q", c.Verb, c.Topic)
	if c.Verb == core.Publish {
		line += " " + payloadText(c.Payload)
	}
	r.lines = append(r.lines, line)
	if !bytes.Equal(c.Source, r.frame) {
		r.lines = append(r.lines, "shown "+string(c.Source))
	}
	if c.NotToSelf || c.AsOwner || c.Pattern || c.Ref != nil || c.As != 0 {
		r.lines = append(r.lines, "unexpected fields")
	}
}

func payloadText(p core.Payload) string {
	switch p.Kind {
	case core.JSON:
		return "json " + string(p.Data)
	case core.Binary:
		return "binary " + base64.StdEncoding.EncodeToString(p.Data)
	}
	return fmt.Sprintf("kind %d %q", p.Kind, p.Data)
}

// wireCase is one case of testdata/decode.txt.
type wireCase struct {
	line  int
	frame core.Frame
	want  []string
}

func decodeCases(t testing.TB) []wireCase {
	t.Helper()
	var cases []wireCase
	forLines(t, "testdata/decode.txt", func(n int, line string) {
		if want, ok := strings.CutPrefix(line, "\t"); ok {
			last := &cases[len(cases)-1]
			last.want = append(last.want, want)
			return
		}
		kind, data, _ := strings.Cut(line, " ")
		c := wireCase{line: n, frame: core.Frame{Kind: core.TextFrame, Data: []byte(data)}}
		if kind == "binary" {
			c.frame = core.Frame{Kind: core.BinaryFrame, Data: []byte(unquote(t, data))}
		}
		cases = append(cases, c)
	})
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	return cases
}

func forLines(t testing.TB, path string, f func(n int, line string)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; s.Scan(); n++ {
		if line := s.Text(); line != "" && line[0] != '#' {
			f(n, line)
		}
	}
}

func unquote(t testing.TB, s string) string {
	t.Helper()
	text, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return text
}

func decode(t testing.TB, f core.Frame) *recorder {
	t.Helper()
	r := &recorder{frame: bytes.Clone(f.Data)}
	if err := (&Format{}).NewCodec().Decode(f, r); err != nil {
		t.Errorf("%q: %v", r.frame, err)
	}
	if !bytes.Equal(f.Data, r.frame) {
		t.Errorf("%q was overwritten: %q", r.frame, f.Data)
	}
	return r
}

func TestDecode(t *testing.T) {
	for _, c := range decodeCases(t) {
		t.Run(fmt.Sprintf("line%d", c.line), func(t *testing.T) {
			got, want := decode(t, c.frame).lines, c.want
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s\ngot  %q\nwant %q", c.frame.Data, got, want)
			}
		})
	}
}

// A message that ends too early is ignored, wherever it ends: faults 3 and 4 of the original
// make something of it.
func TestDecodeCut(t *testing.T) {
	for _, c := range decodeCases(t) {
		whole := decode(t, c.frame)
		if whole.commands == 0 {
			continue
		}
		for i := range c.frame.Data {
			cut := decode(t, core.Frame{Kind: c.frame.Kind, Data: c.frame.Data[:i:i]})
			if cut.commands != 0 || cut.refused != 1 {
				t.Errorf("line %d cut at %d: %q", c.line, i, cut.lines)
			}
		}
	}
}

// No message leaves anything behind for the next one.
func TestDecodeForgets(t *testing.T) {
	c := (&Format{}).NewCodec()
	for _, m := range []struct{ text, want string }{
		{`{"command":"broadcast","args":{"channel":"a","content":1}}`, `publish "a" json 1`},
		{`{"command":"broadcast","args":{"channel":"b"}}`, `publish "b" json null`},
		{`{"command":"join"}`, `refuse malformed,none ""`},
		{`{"command":`, `refuse malformed`},
		{`{"args":{"channel":"c"}}`, `refuse unknown_type,none ""`},
	} {
		r := &recorder{frame: []byte(m.text)}
		if err := c.Decode(core.Frame{Kind: core.TextFrame, Data: []byte(m.text)}, r); err != nil {
			t.Error(err)
		}
		if got := strings.Join(r.lines, ","); got != m.want {
			t.Errorf("%s: %s, want %s", m.text, got, m.want)
		}
	}
}

func TestDecodeDepth(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	r := decode(t, core.Frame{Kind: core.TextFrame, Data: []byte(`{"command":"broadcast","args":{"channel":"a","content":` + deep + `}}`)})
	if got := strings.Join(r.lines, ","); got != "refuse too_deep" {
		t.Errorf("%s, want refuse too_deep", got)
	}
}

func TestEncode(t *testing.T) {
	kinds := map[string]core.PayloadKind{"json": core.JSON, "text": core.Text, "binary": core.Binary, "absent": core.Absent}
	forLines(t, "testdata/encode.txt", func(n int, line string) {
		in, want, _ := strings.Cut(line, " => ")
		topic, rest, _ := strings.Cut(in, " ")
		kind, data, _ := strings.Cut(rest, " ")
		ev := core.Event{Kind: core.Message, Topic: []byte(topic), Payload: core.Payload{Kind: kinds[kind], Data: []byte(unquote(t, data))}}
		f := &Format{}
		for name, encode := range map[string]func([]byte, core.Event) ([]byte, core.FrameKind, error){
			"Encode": f.NewCodec().Encode, "EncodeMessage": f.EncodeMessage,
		} {
			got, frame, err := encode([]byte("before"), ev)
			if string(got) != "before"+want || frame != core.TextFrame || err != nil {
				t.Errorf("line %d: %s: %q, %v, %v, want %q", n, name, got, frame, err, want)
			}
		}
		if !json.Valid([]byte(want)) {
			t.Errorf("line %d: %s is no JSON", n, want)
		}
	})
}

// Nothing is answered.
func TestEncodeSilence(t *testing.T) {
	c := (&Format{}).NewCodec()
	for kind := core.Welcome; kind <= core.Goodbye; kind++ {
		if kind == core.Message {
			continue
		}
		ev := core.Event{Kind: kind, Topic: []byte("a"), Failure: core.Failure{Code: core.Denied}}
		if got, frame, err := c.Encode([]byte("before"), ev); string(got) != "before" || frame != core.NoFrame || err != nil {
			t.Errorf("%s: %q, %v, %v", kind, got, frame, err)
		}
	}
}

// discard is a sink that keeps nothing.
type discard struct{ topics int }

func (d *discard) Do(c core.Command)                        { d.topics += len(c.Topic) }
func (d *discard) Refuse(core.Reason, []byte, core.Failure) {}

func TestAllocations(t *testing.T) {
	c := (&Format{}).NewCodec()
	var sink discard
	for _, text := range []string{
		`{"command":"broadcast","args":{"channel":" news ","content":{"a":[1,2,"\u003c"]}}}`,
		`{"command":"join","args":{"channel":"news"}}`,
	} {
		f := core.Frame{Kind: core.TextFrame, Data: []byte(text)}
		if n := testing.AllocsPerRun(100, func() { _ = c.Decode(f, &sink) }); n != 0 {
			t.Errorf("decoding %s: %v allocations", text, n)
		}
	}
	if sink.topics == 0 {
		t.Error("nothing was decoded")
	}
	f := &Format{}
	dst := make([]byte, 0, 256)
	for _, p := range []core.Payload{{Kind: core.JSON, Data: []byte(`{"a":1}`)}, {Kind: core.Text, Data: []byte("text")}, {}} {
		ev := core.Event{Kind: core.Message, Topic: []byte("news"), Payload: p}
		if n := testing.AllocsPerRun(100, func() { dst, _, _ = f.EncodeMessage(dst[:0], ev) }); n != 0 {
			t.Errorf("encoding %v: %v allocations", p, n)
		}
	}
}

// A client's message costs memory in proportion to its size, whatever it is. If it cost time
// by the square of its size, this test would take minutes.
func TestHostileMessages(t *testing.T) {
	messages := coretest.HostileJSON("command", "args", "channel", "content")
	for name, args := range coretest.HostileJSON("channel", "content", "CHANNEL") {
		messages["args: "+name] = `{"Command":"broadcast","args":` + args + `}`
	}
	for name, message := range messages {
		t.Run(name, func(t *testing.T) {
			coretest.FrugalCodec(t, (&Format{}).NewCodec(), core.Frame{Kind: core.TextFrame, Data: []byte(message)})
			coretest.Frugal(t, len(message), func() { _, _, _ = readBroadcast([]byte(message)) })
		})
	}
}

// FuzzDecode checks what holds for any bytes: exactly one message is counted or
// done, and what is done agrees with what encoding/json reads in the source
// that the authorizer is shown.
func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases(f) {
		f.Add(c.frame.Kind == core.BinaryFrame, c.frame.Data)
	}
	for _, message := range coretest.Said(f, "../../conversations/wsify/*.txt") {
		f.Add(false, message)
	}
	f.Fuzz(func(t *testing.T, binary bool, data []byte) {
		kind := core.TextFrame
		if text := strings.ToValidUTF8(string(data), ""); binary {
			kind = core.BinaryFrame
		} else {
			data = []byte(text)
		}
		coretest.FrugalCodec(t, (&Format{}).NewCodec(), core.Frame{Kind: kind, Data: data})
		r := &judge{t: t}
		if err := (&Format{}).NewCodec().Decode(core.Frame{Kind: kind, Data: data}, r); err != nil {
			t.Errorf("%q: %v", data, err)
		}
		if r.done+r.refused == 0 || r.done > 1 || r.refused > 1 {
			t.Errorf("%q: %d commands, %d refusals", data, r.done, r.refused)
		}
	})
}

// judge reads the source of each command as an authorizer would that is strict about letter
// case.
type judge struct {
	t             *testing.T
	done, refused int
}

func (j *judge) Refuse(core.Reason, []byte, core.Failure) { j.refused++ }

func (j *judge) Do(c core.Command) {
	j.done++
	var source struct {
		Command any            `json:"command"`
		Args    map[string]any `json:"args"`
	}
	if err := json.Unmarshal(c.Source, &source); err != nil {
		// Only the range of numbers depends on the reader.
		if json.Valid(c.Source) && strings.Contains(err.Error(), "number") {
			return
		}
		j.t.Fatalf("source %q: %v", c.Source, err)
	}
	want := map[core.Verb]string{core.Subscribe: "join", core.Unsubscribe: "leave", core.Publish: "broadcast"}[c.Verb]
	if c.Verb == core.None {
		return
	}
	channel, _ := source.Args["channel"].(string)
	if source.Command != want || strings.TrimSpace(channel) != string(c.Topic) {
		j.t.Errorf("source %q: %s %q", c.Source, c.Verb, c.Topic)
	}
	if c.Verb == core.Publish && c.Payload.Kind != core.Binary && !json.Valid(c.Payload.Data) {
		j.t.Errorf("content %q", c.Payload.Data)
	}
}

func BenchmarkDecode(b *testing.B) {
	f := core.Frame{Kind: core.TextFrame, Data: []byte(`{"command":"broadcast","args":{"channel":"news/today","content":{"id":9007199254740993,"text":"hello, everybody"}}}`)}
	c := (&Format{}).NewCodec()
	var sink discard
	b.SetBytes(int64(len(f.Data)))
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Decode(f, &sink)
	}
}
