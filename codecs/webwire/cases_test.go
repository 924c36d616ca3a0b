package webwire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// newCodec makes the codec of an endpoint with options as in "key=value …".
func newCodec(t testing.TB, options string) codec {
	t.Helper()
	p := Protocol()
	o := p.Options().(*Options)
	for option := range strings.FieldsSeq(options) {
		key, value, _ := strings.Cut(option, "=")
		var err error
		switch key {
		case "read_timeout":
			o.ReadTimeout, err = time.ParseDuration(value)
		case "message_buffer_size":
			o.MessageBufferSize, err = strconv.Atoi(value)
		case "sub_protocol":
			o.SubProtocol = value
		case "subscribe":
			o.Subscribe = strings.Split(value, ",")
		case "default_topic":
			o.DefaultTopic = value
		case "reply_encoding":
			o.ReplyEncoding = value
		default:
			err = fmt.Errorf("unknown option %q", key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := p.New(o, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f.NewCodec().(codec)
}

// wire reads the bytes of a message: pairs of hex digits, 'characters', and 'characters'*n or
// hex*n for n repetitions.
func wire(t testing.TB, text string) []byte {
	t.Helper()
	var out []byte
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var part []byte
		var err error
		if quoted, isText := strings.CutPrefix(text, "'"); isText {
			chars, rest, closed := strings.Cut(quoted, "'")
			if !closed {
				t.Fatalf("no closing quote in %s", text)
			}
			part, text = []byte(chars), rest
		} else {
			end := strings.IndexAny(text+" ", "* ")
			if part, err = hex.DecodeString(text[:end]); err != nil {
				t.Fatalf("reading %s: %v", text, err)
			}
			text = text[end:]
		}
		if times, many := strings.CutPrefix(text, "*"); many {
			count, rest, _ := strings.Cut(times, " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatalf("reading *%s: %v", count, err)
			}
			part, text = bytes.Repeat(part, n), rest
		}
		out = append(out, part...)
	}
	return out
}

// frame reads the client message of a case in decode.txt.
func frame(t testing.TB, c coretest.Case) core.Frame {
	t.Helper()
	if text, ok := strings.CutPrefix(c.Given, "text "); ok {
		return core.Frame{Kind: core.TextFrame, Data: wire(t, text)}
	}
	if c.Given == "nothing" {
		return core.Frame{Kind: core.BinaryFrame}
	}
	return core.Frame{Kind: core.BinaryFrame, Data: wire(t, c.Given)}
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
		if quoted, err := strconv.QuotedPrefix(value); err == nil {
			rest = strings.TrimPrefix(value[len(quoted):], " ")
			value, _ = strconv.Unquote(quoted)
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		setField(t, c, &ev, key, value)
	}
	return ev
}

func setField(t testing.TB, c coretest.Case, ev *core.Event, key, value string) {
	t.Helper()
	var err error
	switch key {
	case "verb":
		for ev.Verb.String() != value {
			if ev.Verb++; ev.Verb.String() == "unknown" {
				t.Fatalf("line %d: unknown verb %q", c.Line, value)
			}
		}
	case "ref":
		ev.Ref, err = hex.DecodeString(value)
	case "topic":
		ev.Topic = []byte(value)
	case "json":
		ev.Payload = core.Payload{Kind: core.JSON, Data: []byte(value)}
	case "text":
		ev.Payload.Kind, ev.Payload.Data = core.Text, []byte(value)
	case "utf16":
		ev.Payload.UTF16, err = hex.DecodeString(value)
	case "binary":
		ev.Payload = core.Payload{Kind: core.Binary, Data: []byte(value)}
	case "code":
		ev.Failure.Code = core.Code(value)
	case "why":
		ev.Failure.Text = value
	case "key":
		ev.Session.Key = value
	case "created":
		ev.Session.Created, err = time.Parse(time.RFC3339Nano, value)
	case "lookup":
		ev.Session.LastLookup, err = time.Parse(time.RFC3339Nano, value)
	case "info":
		ev.Session.Info = []byte(value)
	default:
		t.Fatalf("line %d: unknown field %q", c.Line, key)
	}
	if err != nil {
		t.Fatalf("line %d: %s: %v", c.Line, key, err)
	}
}

// recorder is a sink that writes down what it gets, a line each, and keeps the
// commands.
type recorder struct {
	lines    []string
	commands []core.Command
}

func (r *recorder) Do(c core.Command) {
	r.lines = append(r.lines, describe(c))
	r.commands = append(r.commands, c.Clone())
}

func (r *recorder) Refuse(reason core.Reason, ref []byte, f core.Failure) {
	line := "refuse " + reason.String()
	if ref != nil {
		line += fmt.Sprintf(" ref=%x", ref)
	}
	if f.Failed() {
		line += fmt.Sprintf(" code=%s why=%q", f.Code, f.Text)
	}
	r.lines = append(r.lines, line)
}

// describe writes a command as decode.txt does. A field that no command of this
// format uses shows if it is set.
func describe(c core.Command) string {
	var b strings.Builder
	b.WriteString(c.Verb.String())
	if c.Ref != nil {
		fmt.Fprintf(&b, " ref=%x", c.Ref)
	}
	if c.Pattern {
		b.WriteString(" pattern")
	}
	if c.Topic != nil {
		fmt.Fprintf(&b, " topic=%q", c.Topic)
	}
	if c.Key != nil {
		fmt.Fprintf(&b, " key=%q", c.Key)
	}
	switch c.Payload.Kind {
	case core.JSON:
		fmt.Fprintf(&b, " json=%q", c.Payload.Data)
	case core.Text:
		fmt.Fprintf(&b, " text=%q", c.Payload.Data)
	case core.Binary:
		fmt.Fprintf(&b, " binary=%q", c.Payload.Data)
	}
	if c.Payload.UTF16 != nil {
		fmt.Fprintf(&b, " utf16=%x", c.Payload.UTF16)
	}
	if c.NotToSelf != (c.Verb == core.Publish) || c.As != 0 || c.Channel != nil || c.Exclusive || c.AsOwner || c.Services != nil ||
		c.OneWay || c.Timeout != 0 || c.Call != (core.CallID{}) || c.Headers != nil || c.Failure.Failed() || c.Source != nil {
		fmt.Fprintf(&b, " unexpected=%+v", c)
	}
	return b.String()
}
