package wubsub

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

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
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		value, _ = strconv.Unquote(quoted)
		return value, strings.TrimPrefix(s[len(quoted):], " ")
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
	case "as":
		n, err := strconv.ParseUint(value, 10, 32)
		ev.As = uint32(n)
		return err == nil
	case "call":
		n, err := strconv.ParseUint(value, 10, 8)
		ev.Call[15] = byte(n)
		return err == nil
	case "code":
		ev.Failure.Code = core.Code(value)
	case "json":
		ev.Payload = core.Payload{Kind: core.JSON, Data: []byte(value)}
	case "binary":
		ev.Payload = core.Payload{Kind: core.Binary, Data: []byte(value)}
	case "text":
		if ev.Kind == core.Failed || ev.Kind == core.OfferLost {
			ev.Failure.Text = value
			return true
		}
		ev.Payload = core.Payload{Kind: core.Text, Data: []byte(value)}
	default:
		return false
	}
	return true
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
	if ref != nil || f.Failed() {
		line += fmt.Sprintf(" told ref=%q failure=%v", ref, f)
	}
	r.lines = append(r.lines, line)
}

// describe writes a command as decode.txt does. A field that no command of this
// format uses shows if it is set.
func describe(c core.Command) string {
	var b strings.Builder
	b.WriteString(c.Verb.String())
	if c.Exclusive {
		b.WriteString(" exclusive")
	}
	if c.AsOwner {
		b.WriteString(" as-owner")
	}
	if c.Channel != nil {
		fmt.Fprintf(&b, " channel=%q", c.Channel)
	}
	if c.Topic != nil {
		fmt.Fprintf(&b, " topic=%q", c.Topic)
	}
	fmt.Fprintf(&b, " as=%d", c.As)
	if c.Verb == core.Offer {
		whole := make([]string, len(c.Services))
		for i, service := range c.Services {
			whole[i] = string(c.AppendService(nil, service))
		}
		fmt.Fprintf(&b, " services=%q", whole)
	}
	if c.Verb == core.Reply {
		fmt.Fprintf(&b, " call=%s", c.Call.Append(nil))
	}
	switch c.Payload.Kind {
	case core.JSON:
		fmt.Fprintf(&b, " json=%s", c.Payload.Data)
	case core.Text:
		fmt.Fprintf(&b, " text=%q", c.Payload.Data)
	case core.Binary:
		fmt.Fprintf(&b, " binary=%q", c.Payload.Data)
	}
	if c.Pattern || c.NotToSelf || c.OneWay || c.Timeout != 0 || c.Ref != nil || c.Key != nil || c.Source != nil || c.Failure.Failed() {
		fmt.Fprintf(&b, " unexpected=%+v", c)
	}
	return b.String()
}
