package matrix_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/matrix"
)

// What is sent: the contents that the matrix speaks of.
const (
	object      = `{"n":9007199254740993,"a":[1.50,"é"]}`
	topicOfAll  = "news/today"
	serviceName = "svc/double"
	headers     = `{"traceparent":"00-01-02-01"}`
)

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

func jsonOf(s string) core.Payload { return core.Payload{Kind: core.JSON, Data: []byte(s)} }

// payloads are the contents by the last part of their properties. A text like JSON is a string in a format
// of JSON.
func payload(name string, ofJSON bool) core.Payload {
	switch name {
	case "json":
		return jsonOf(object)
	case "text":
		return text("hello, é")
	case "text_like_json":
		if ofJSON {
			return jsonOf(`"42"`)
		}
		return text("42")
	case "empty":
		return text("")
	case "null":
		return jsonOf("null")
	case "bytes":
		return core.Payload{Kind: core.Binary, Data: []byte("\xff\x00\xfe")}
	case "bytes_like_text":
		return core.Payload{Kind: core.Binary, Data: []byte("plain")}
	case "utf16":
		return core.TextUTF16([]byte(wide))
	}
	return core.Payload{}
}

var wide = utf16('h', 'é', 0xd83d, 0xde00)

// forms are the contents that may be read, by name and, if they are changed, by a word of the detail.
var forms = map[string][]content{
	"json":                    {{kind: "json", data: object}, {kind: "text", data: object}},
	"text":                    {{kind: "json", data: `"hello, é"`}, {kind: "text", data: "hello, é"}},
	"text_like_json":          {{kind: "json", data: `"42"`}, {kind: "text", data: "42"}},
	"text_like_json number":   {{kind: "json", data: "42"}},
	"text_like_json quotes":   {{kind: "text", data: `"42"`}},
	"empty":                   {{kind: "json", data: `""`}, {kind: "text", data: ""}},
	"null":                    {{}, {data: "null"}},
	"null text null":          {{kind: "text", data: "null"}},
	"null empty text":         {{kind: "text", data: ""}},
	"bytes":                   {{kind: "bytes", data: "\xff\x00\xfe"}, {kind: "json", data: `{"$binary":"/wD+"}`}, {kind: "text", data: `{"$binary":"/wD+"}`}},
	"bytes base64":            {{kind: "json", data: `{"$binary":"/wD+"}`}, {kind: "text", data: `{"$binary":"/wD+"}`}},
	"bytes_like_text":         {{kind: "bytes", data: "plain"}},
	"bytes_like_text as text": {{kind: "json", data: `"plain"`}, {kind: "text", data: "plain"}},
	"utf16":                   {{kind: "utf16", data: wide}},
	"utf16 UTF-8":             {{kind: "json", data: `"hé😀"`}, {kind: "text", data: "hé😀"}},
}

// promises returns the forms that a cell promises to the receiver.
func promises(t *testing.T, c matrix.Cell) []content {
	t.Helper()
	_, name, _ := strings.Cut(c.Property, ".")
	if c.Outcome == matrix.Whole {
		return forms[name]
	}
	for key, all := range forms {
		if word, ok := strings.CutPrefix(key, name+" "); ok && strings.Contains(c.Detail, word) {
			return all
		}
	}
	t.Fatalf("no form is known for %+v", c)
	return nil
}

// matches reports whether one of the forms was read.
func matches(got content, all []content) bool {
	for _, form := range all {
		if got.kind == form.kind && got.data == form.data {
			return true
		}
	}
	return false
}

// speaksJSON reports whether what a client of a format writes is JSON.
func speaksJSON(protocol, what string) bool {
	return protocol != "webwire" && (protocol != "stocking" || what == "request")
}

// TestMatrix proves every cell: at a real broker a client of each format sends each thing to one of each, and
// what is read, or not, is what the cell says.
func TestMatrix(t *testing.T) {
	m := matrixOf(configured(t, formats...))
	if len(m.Pairs) != len(formats)*len(formats) {
		t.Fatalf("%d pairs", len(m.Pairs))
	}
	for _, pair := range m.Pairs {
		t.Run(pair.From+" to "+pair.To, func(t *testing.T) {
			t.Parallel()
			all := []string{pair.From}
			if pair.To != pair.From {
				all = append(all, pair.To)
			}
			p := &proof{stage: serve(t, all...), t: t, protocols: [2]string{pair.From, pair.To}}
			p.begin(t)
			for i, c := range pair.Cells {
				if want := matrix.PairProperties()[i]; c.Property != want {
					t.Fatalf("cell %d is %s, want %s", i, c.Property, want)
				}
				if !t.Run(c.Property, func(t *testing.T) { p.prove(t, c) }) {
					return // the clients may have lost their connections
				}
			}
		})
	}
}

// proof is a stage with two clients.
type proof struct {
	*stage
	t         *testing.T // of the pair
	protocols [2]string
	from, to  *speaker
	count     int // of messages that were the last
	calls     int // of the present client
}

// begin connects the two clients: one subscribes and answers, the other hears it.
func (p *proof) begin(t *testing.T) {
	t.Helper()
	t = p.t // the clients are for all cells
	for _, s := range []*speaker{p.from, p.to} {
		if s != nil {
			s.Close(t.Context())
		}
	}
	p.calls = 0
	p.from, p.to = p.connect(t, p.protocols[0]), p.connect(t, p.protocols[1])
	for _, topic := range []string{topicOfAll, topicOfAll + "/é,1", long} {
		p.do(t, p.to, core.Command{Verb: core.Subscribe, Topic: []byte(topic)})
	}
	offer := core.Command{Verb: core.Offer, Services: [][]byte{[]byte(serviceName)}}
	if p.to.protocol == "wubsub" {
		offer = core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("svc"), Services: [][]byte{[]byte("double")}}
	}
	p.do(t, p.to, offer)
	coretest.Eventually(t, "the subscriber is heard", func() bool {
		if p.from.protocol == "wubsub" {
			p.do(t, p.from, core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte("news")})
		}
		p.do(t, p.from, core.Command{Verb: core.Publish, Topic: []byte(topicOfAll), Payload: text("probe")})
		return len(p.to.heard) > 0
	})
	coretest.Eventually(t, "the service is there", func() bool {
		if p.to.protocol == "wubsub" {
			p.do(t, p.to, offer)
		}
		c := p.call(t, core.Command{Payload: jsonOf(object)})
		if c.request == nil {
			return false
		}
		p.reply(t, *c.request, jsonOf("1"), core.Failure{})
		return coretest.Receive(t, "the answer", c.end).err == nil
	})
	p.settle(t)
}

// long is a topic that is too long for the names of webwire.
var long = topicOfAll + "/" + strings.Repeat("x", 300)

func (p *proof) do(t *testing.T, s *speaker, c core.Command) {
	t.Helper()
	if _, err := s.Do(t.Context(), c); err != nil {
		t.Fatalf("%s: %v: %v", s.protocol, c.Verb, err)
	}
}

// settle publishes a last message, and returns what the subscriber has heard before it.
func (p *proof) settle(t *testing.T) (heard []told) {
	t.Helper()
	p.count++
	last := fmt.Sprintf("the end %d", p.count)
	p.do(t, p.from, core.Command{Verb: core.Publish, Topic: []byte(topicOfAll), Payload: text(last)})
	for {
		one := coretest.Receive(t, "the last message", p.to.heard)
		if one.ev.Kind == core.Message && string(core.AppendText(nil, one.ev.Payload)) == last {
			return heard
		}
		heard = append(heard, one)
	}
}

// ended is how a call has ended for its caller.
type ended struct {
	ev      core.Event
	message []byte
	err     error
}

// calling is a call under way.
type calling struct {
	request *told // nil if the answerer was not asked: the call has ended
	end     chan ended
}

// call calls, and returns when the answerer is asked, or the call has ended.
func (p *proof) call(t *testing.T, c core.Command) calling {
	t.Helper()
	p.calls++
	c.Verb, c.Topic = core.Call, []byte(serviceName)
	k := calling{end: make(chan ended, 1)}
	ctx, cancel := context.WithDeadline(t.Context(), coretest.Deadline())
	go func() {
		defer cancel()
		ev, err := p.from.Do(ctx, c)
		_, message := p.from.last()
		k.end <- ended{ev, message, err}
	}()
	for {
		select {
		case request := <-p.to.heard:
			if request.ev.Kind == core.Request {
				k.request = &request
				return k
			}
		case e := <-k.end:
			if c.OneWay && e.err == nil {
				continue
			}
			k.end <- e
			return k
		}
	}
}

// reply answers a request.
func (p *proof) reply(t *testing.T, request told, with core.Payload, f core.Failure) error {
	t.Helper()
	_, err := p.to.Do(t.Context(), core.Command{Verb: core.Reply, Call: request.ev.Call, Topic: request.ev.Topic, As: request.ev.As, Payload: with, Failure: f})
	return err
}

// prove proves a cell.
func (p *proof) prove(t *testing.T, c matrix.Cell) {
	kind, name, _ := strings.Cut(c.Property, ".")
	switch {
	case name == "size":
		p.size(t, kind, c)
	case kind == "message":
		p.message(t, name, c)
	case kind == "failure":
		p.failure(t, name, c)
	default:
		p.ask(t, kind, name, c)
	}
}

// message proves what becomes of a message.
func (p *proof) message(t *testing.T, name string, c matrix.Cell) {
	cmd := core.Command{Verb: core.Publish, Topic: []byte(topicOfAll), Payload: payload(name, speaksJSON(p.from.protocol, "message"))}
	switch name {
	case "headers":
		cmd.Headers = []byte(headers)
	case "odd_topic":
		cmd.Topic = []byte(topicOfAll + "/é,1")
	case "long_topic":
		cmd.Topic = []byte(long)
	}
	if cmd.Payload.Kind == core.Absent {
		cmd.Payload = jsonOf(object)
	}
	before := p.unwritable(t, p.to.protocol)
	_, err := p.from.Do(t.Context(), cmd)
	sent, _ := p.from.last()
	heard := p.settle(t)
	if c.Outcome == matrix.Unsayable {
		p.unsayable(t, name, err, sent)
		return
	}
	if err != nil {
		t.Fatalf("it is %s, but: %v", c.Outcome, err)
	}
	if c.Outcome == matrix.Dropped {
		if n := p.unwritable(t, p.to.protocol) - before; len(heard) > 0 || n != 1 {
			t.Errorf("%d messages came, and %d were counted as dropped", len(heard), n)
		}
		return
	}
	if len(heard) != 1 {
		t.Fatalf("it is %s, but %d messages came", c.Outcome, len(heard))
	}
	got := read(t, p.to.protocol, heard[0].message)
	switch name {
	case "headers":
		if c.Outcome != matrix.Whole && c.Outcome != matrix.Lost || (got.headers == headers) != (c.Outcome == matrix.Whole) {
			t.Errorf("headers are %s, but the receiver read %q", c.Outcome, heard[0].message)
		}
	case "topic", "odd_topic", "long_topic":
		p.topic(t, string(cmd.Topic), sent, got, c)
	default:
		if !matches(got, promises(t, c)) {
			t.Errorf("it is %s %s, but the receiver read %q", c.Outcome, c.Detail, heard[0].message)
		}
	}
}

// topic proves how the receiver reads a topic.
func (p *proof) topic(t *testing.T, topic string, sent []byte, got content, c matrix.Cell) {
	t.Helper()
	switch {
	case c.Outcome == matrix.Lost && got.topic == "":
	case c.Outcome == matrix.Whole && got.topic == topic:
	case c.Outcome == matrix.Whole && p.from.protocol == p.to.protocol && got.topic == read(t, p.from.protocol, sent).topic:
	case c.Outcome == matrix.Changed && got.topic != topic && strings.HasPrefix(got.topic, topicOfAll) && strings.Contains(got.topic, "%"):
	default:
		t.Errorf("the topic is %s, but the receiver read %q", c.Outcome, got.topic)
	}
}

// unsayable proves that a client has no words for something: its codec says so, or what it writes is
// something else.
func (p *proof) unsayable(t *testing.T, name string, err error, sent []byte) {
	t.Helper()
	if f, ok := errors.AsType[core.Failure](err); ok {
		t.Fatalf("it has no words for it, but the server refused: %v", f)
	}
	if err != nil {
		return
	}
	got := read(t, p.from.protocol, sent)
	if name == "headers" && got.headers == "" {
		return
	}
	if all := forms[name]; all == nil || name != "null" && name != "bytes" && matches(got, all) {
		t.Errorf("it has no words for it, but said %q", sent)
	}
	switch {
	case name == "null" && got.kind != "text", name == "bytes" && got.kind != "text", name == "utf16" && got.kind == "utf16":
		t.Errorf("it has no words for it, but said %q", sent)
	}
}

// ask proves what becomes of a request, or of its answer.
func (p *proof) ask(t *testing.T, kind, name string, c matrix.Cell) {
	content := payload(name, speaksJSON(p.from.protocol, kind))
	cmd, answer := core.Command{Payload: content}, jsonOf("1")
	switch {
	case kind == "answer":
		cmd.Payload, answer = jsonOf(object), payload(name, speaksJSON(p.to.protocol, kind))
	case name == "headers":
		cmd.Payload, cmd.Headers = jsonOf(object), []byte(headers)
	case name == "one_way":
		cmd.Payload, cmd.OneWay = jsonOf(object), true
	}
	k := p.call(t, cmd)
	sent, _ := p.from.last()
	if k.request == nil {
		end := coretest.Receive(t, "the end of the call", k.end)
		if c.Outcome != matrix.Unsayable || kind != "request" {
			t.Fatalf("it is %s, but the call ended: %v", c.Outcome, end.err)
		}
		p.unsayable(t, name, end.err, sent)
		return
	}
	said := p.reply(t, *k.request, answer, core.Failure{})
	replied, _ := p.to.last()
	if name == "one_way" {
		p.oneWay(t, *k.request, c)
		return
	}
	if kind == "answer" && c.Outcome == matrix.Unsayable {
		(&proof{from: p.to}).unsayable(t, name, said, replied)
		if said != nil {
			said = p.reply(t, *k.request, jsonOf("1"), core.Failure{})
		}
	}
	end := coretest.Receive(t, "the answer", k.end)
	if end.err != nil || said != nil {
		t.Fatalf("the call ended: %v; the answer: %v", end.err, said)
	}
	protocol, message := p.to.protocol, k.request.message
	if kind == "answer" {
		protocol, message = p.from.protocol, end.message
	}
	got := read(t, protocol, message)
	switch {
	case c.Outcome == matrix.Unsayable && kind == "request":
		p.unsayable(t, name, nil, sent)
	case c.Outcome == matrix.Unsayable:
	case name == "headers":
		if c.Outcome != matrix.Lost || got.headers != "" {
			t.Errorf("headers are %s, but the answerer read %q", c.Outcome, message)
		}
	case !matches(got, promises(t, c)):
		t.Errorf("it is %s %s, but the other side read %q", c.Outcome, c.Detail, message)
	}
}

// oneWay proves whether the answerer sees that no answer is wanted. By topic it is the id of nobody.
func (p *proof) oneWay(t *testing.T, request told, c matrix.Cell) {
	t.Helper()
	nobody := request.ev.Call == core.CallID{}
	marked := strings.Contains(string(request.message), "$request/00000000-0000-0000-0000-000000000000/")
	if sayable := p.from.protocol == "stocking"; sayable != nobody {
		t.Errorf("the request has the id %x", request.ev.Call)
	}
	switch c.Outcome {
	case matrix.Unsayable:
		if nobody {
			t.Error("it has no words for it, but no answer is wanted")
		}
	case matrix.Whole, matrix.Lost:
		if !nobody || marked != (c.Outcome == matrix.Whole) && p.to.protocol != "stocking" {
			t.Errorf("that no answer is wanted is %s, but the answerer read %q", c.Outcome, request.message)
		}
	default:
		t.Errorf("that no answer is wanted is %s", c.Outcome)
	}
}

// failure proves what becomes of the answerer's own failure.
func (p *proof) failure(t *testing.T, name string, c matrix.Cell) {
	own := core.Failure{Code: "ODD", Text: "odd number"}
	want := "ODD"
	switch name {
	case "number":
		own.Code, want = "4711", "4711"
	case "text":
		want = own.Text
	}
	k := p.call(t, core.Command{Payload: jsonOf(object)})
	if k.request == nil {
		t.Fatal("the call ended")
	}
	if err := p.reply(t, *k.request, core.Payload{}, own); err != nil {
		t.Fatal(err)
	}
	end := coretest.Receive(t, "the failure", k.end)
	if _, failed := errors.AsType[core.Failure](end.err); !failed {
		t.Fatalf("the call ended with %v, %v", end.ev, end.err)
	}
	message := string(end.message)
	if p.from.protocol == "wubsub" {
		message = read(t, "wubsub", end.message).data // and not the id of the request
	}
	if c.Outcome != matrix.Whole && c.Outcome != matrix.Lost || strings.Contains(message, want) != (c.Outcome == matrix.Whole) {
		t.Errorf("it is %s, but the caller read %q", c.Outcome, end.message)
	}
}

// size proves that the biggest content passes, and what becomes of one with a byte more.
func (p *proof) size(t *testing.T, kind string, c matrix.Cell) {
	for _, more := range []int{0, 1} {
		big := text(strings.Repeat("x", c.Limit+more-p.number(kind, c)))
		if more > 0 && c.Outcome == matrix.Whole {
			// The sender's own endpoint, or its codec, refuses it; that ends the connection.
			p.beyond(t, kind, big)
			p.begin(t)
			return
		}
		switch kind {
		case "message":
			before := p.unwritable(t, p.to.protocol)
			p.do(t, p.from, core.Command{Verb: core.Publish, Topic: []byte(topicOfAll), Payload: big})
			heard := p.settle(t)
			if dropped := p.unwritable(t, p.to.protocol) - before; len(heard) != 1-more || dropped != more {
				t.Errorf("%d bytes: %d messages came, and %d were counted as dropped", c.Limit+more, len(heard), dropped)
			}
		case "request":
			k := p.call(t, core.Command{Payload: big})
			if (k.request != nil) != (more == 0) {
				t.Fatalf("%d bytes: asked is %v", c.Limit+more, k.request != nil)
			}
			if more == 0 {
				_ = p.reply(t, *k.request, jsonOf("1"), core.Failure{})
			}
			p.ends(t, k, c, more)
		case "answer":
			k := p.call(t, core.Command{Payload: jsonOf(object)})
			if k.request == nil {
				t.Fatal("the call ended")
			}
			if err := p.reply(t, *k.request, big, core.Failure{}); err != nil {
				t.Fatal(err)
			}
			p.ends(t, k, c, more)
		}
	}
}

// number returns how many bytes the number of the next call, or message, takes more than that of a first one, where
// it is part of what is bounded.
func (p *proof) number(kind string, c matrix.Cell) int {
	more := len(strconv.Itoa(p.calls+1)) - 1
	if kind == "message" && p.from.protocol == "vws" && c.Outcome == matrix.Whole {
		sent, _ := p.from.last()
		n, _ := strconv.Atoi(string(regexp.MustCompile(`"i":(\d+)`).FindSubmatch(sent)[1]))
		return len(strconv.Itoa(n+1)) - 1
	}
	numbered := p.from.protocol != "wubsub" && p.from.protocol != "webwire"
	switch {
	case kind == "request" && numbered && c.Outcome == matrix.Whole:
		return more
	case kind == "answer" && p.from.protocol == "vws" && c.Outcome != matrix.Whole:
		return more
	}
	return 0
}

// ends checks how a call with the biggest content, or one byte more, ends.
func (p *proof) ends(t *testing.T, k calling, c matrix.Cell, more int) {
	t.Helper()
	end := coretest.Receive(t, "the end of the call", k.end)
	f, failed := errors.AsType[core.Failure](end.err)
	switch {
	case more == 0 && end.err != nil:
		t.Errorf("%d bytes: %v", c.Limit, end.err)
	case more > 0 && (c.Outcome != matrix.Refused || !failed || !strings.Contains(c.Detail, string(f.Code)) && p.from.protocol != "wubsub" && p.from.protocol != "stocking"):
		t.Errorf("%d bytes are %s (%s), but the call ended with %v", c.Limit+1, c.Outcome, c.Detail, end.err)
	}
}

// beyond sends more than the sender may.
func (p *proof) beyond(t *testing.T, kind string, big core.Payload) {
	t.Helper()
	var err error
	switch kind {
	case "message":
		if _, err = p.from.Do(t.Context(), core.Command{Verb: core.Publish, Topic: []byte(topicOfAll), Payload: big}); err == nil {
			err = coretest.Receive(t, "the end of the connection", p.from.gone)
		}
		if len(p.to.heard) > 0 {
			t.Error("it came")
		}
	case "request":
		k := p.call(t, core.Command{Payload: big})
		if k.request != nil {
			t.Error("it was asked")
			return
		}
		err = coretest.Receive(t, "the end of the call", k.end).err
	case "answer":
		k := p.call(t, core.Command{Payload: jsonOf(object)})
		if k.request == nil {
			t.Fatal("the call ended")
		}
		_ = p.reply(t, *k.request, big, core.Failure{})
		if p.to.protocol == "webwire" {
			_ = p.reply(t, *k.request, core.Payload{}, core.Failure{Code: core.Gone})
		}
		err = coretest.Receive(t, "the end of the call", k.end).err
	}
	if err == nil {
		t.Error("it was taken")
	}
}
