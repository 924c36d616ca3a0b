package vws

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// newTestFormat returns a format with the options that the object names, in
// their form in the configuration; "" names none.
func newTestFormat(t testing.TB, object string) core.Format {
	t.Helper()
	if object == "" {
		object = "{}"
	}
	p := Protocol()
	o := p.Options().(*Options)
	named := struct {
		Send    *any     `json:"allow_send"`
		Initial []string `json:"initial_subscriptions"`
		Prefix  string   `json:"subscribe_prefix"`
		Max     *int     `json:"max_event_size"`
	}{&o.AllowSend, nil, "", &o.MaxEventSize}
	decoder := json.NewDecoder(strings.NewReader(object))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&named); err != nil {
		t.Fatalf("options %s: %v", object, err)
	}
	o.InitialSubscriptions, o.SubscribePrefix = named.Initial, named.Prefix
	format, err := p.New(o, 0)
	if err != nil {
		t.Fatalf("options %s: %v", object, err)
	}
	return format
}

// event reads the event of a case in encode.txt.
func event(t testing.TB, c coretest.Case) core.Event {
	t.Helper()
	name, rest, _ := strings.Cut(c.Given, " ")
	var ev core.Event
	for ev.Kind.String() != name {
		if ev.Kind++; ev.Kind.String() == "unknown" {
			t.Fatalf("line %d: unknown event %q", c.Line, name)
		}
	}
	for rest != "" {
		key, value, _ := strings.Cut(rest, "=")
		if value, rest = cutValue(key, value); !setField(&ev, key, value) {
			t.Fatalf("line %d: cannot read %s=%s", c.Line, key, value)
		}
	}
	return ev
}

// cutValue splits what follows "key=" into its value, without quotes, and the rest.
func cutValue(key, s string) (value, rest string) {
	if key == "json" {
		return s, ""
	}
	if key != "ref" {
		if quoted, err := strconv.QuotedPrefix(s); err == nil {
			value, _ = strconv.Unquote(quoted)
			return value, strings.TrimPrefix(s[len(quoted):], " ")
		}
	}
	value, rest, _ = strings.Cut(s, " ")
	return value, rest
}

func setField(ev *core.Event, key, value string) bool {
	switch key {
	case "verb":
		for ev.Verb.String() != value {
			if ev.Verb++; ev.Verb.String() == "unknown" {
				return false
			}
		}
	case "topic":
		ev.Topic = []byte(value)
	case "ref":
		ev.Ref = []byte(value)
	case "headers":
		ev.Headers = []byte(value)
	case "code":
		ev.Failure.Code = core.Code(value)
	case "json":
		ev.Payload = core.Payload{Kind: core.JSON, Data: []byte(value)}
	case "binary":
		ev.Payload = core.Payload{Kind: core.Binary, Data: []byte(value)}
	case "text":
		if ev.Kind == core.Failed {
			ev.Failure.Text = value
			return true
		}
		ev.Payload = core.Payload{Kind: core.Text, Data: []byte(value)}
	default:
		return false
	}
	return true
}

// recorder is a sink that writes down what it gets, a line each, and what the client then
// reads if every command succeeds. It keeps both.
type recorder struct {
	codec    core.Codec
	lines    []string
	commands []core.Command
	refused  int
	read     []string
}

func (r *recorder) Do(c core.Command) {
	r.lines = append(r.lines, describe(c))
	r.commands = append(r.commands, c.Clone())
	kind := core.Done
	if c.Verb == core.Ping {
		kind = core.Pong
	}
	r.tell(core.Event{Kind: kind, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic})
}

func (r *recorder) Refuse(reason core.Reason, ref []byte, f core.Failure) {
	r.refused++
	r.lines = append(r.lines, "refuse "+reason.String())
	if f.Failed() {
		r.tell(core.Event{Kind: core.Failed, Ref: ref, Failure: f})
	}
}

func (r *recorder) tell(ev core.Event) {
	out, kind, err := r.codec.Encode(nil, ev)
	switch {
	case err != nil || kind == core.BinaryFrame:
		r.lines = append(r.lines, fmt.Sprintf("frame of kind %d, error %v", kind, err))
	case kind == core.TextFrame:
		r.read = append(r.read, string(out))
		r.lines = append(r.lines, "reads "+string(out))
	}
}

// decode returns what the codec makes of f.
func decode(t testing.TB, codec core.Codec, f core.Frame) *recorder {
	t.Helper()
	got := &recorder{codec: codec}
	if err := codec.Decode(f, got); err != nil {
		t.Fatalf("%q ended the connection: %v", f.Data, err)
	}
	return got
}

func (r *recorder) String() string { return strings.Join(r.lines, "; ") }

// describe writes a command as decode.txt does. A field that no command of this
// format uses shows if it is set.
func describe(c core.Command) string {
	var b strings.Builder
	b.WriteString(c.Verb.String())
	if c.Pattern {
		b.WriteString(" pattern")
	}
	if c.Topic != nil {
		fmt.Fprintf(&b, " topic=%q", c.Topic)
	}
	switch c.Payload.Kind {
	case core.JSON:
		fmt.Fprintf(&b, " json=%s", c.Payload.Data)
	case core.Text:
		fmt.Fprintf(&b, " text=%q", c.Payload.Data)
	case core.Binary:
		fmt.Fprintf(&b, " binary=%q", c.Payload.Data)
	}
	if c.Headers != nil {
		fmt.Fprintf(&b, " headers=%s", c.Headers)
	}
	if c.As != 0 || c.NotToSelf || c.AsOwner || c.Exclusive || c.OneWay || c.Services != nil || c.Source != nil || c.Failure.Failed() {
		fmt.Fprintf(&b, " unexpected=%+v", c)
	}
	return b.String()
}
