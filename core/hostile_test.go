package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/rawjson"
)

// Mapping a payload to another format costs memory in proportion to the payload.
func TestHostilePayloads(t *testing.T) {
	for name, content := range coretest.HostileJSON("code", "text", "$binary", "traceparent") {
		t.Run(name, func(t *testing.T) { payloadIsFrugal(t, []byte(content)) })
	}
}

func FuzzPayloadCost(f *testing.F) {
	f.Add([]byte(`{"code":"a","text":"\n"}`))
	f.Add([]byte("{\"$binary\":\"/w==\"}\xff"))
	f.Fuzz(payloadIsFrugal)
}

func payloadIsFrugal(t *testing.T, content []byte) {
	t.Helper()
	for _, kind := range []core.PayloadKind{core.JSON, core.Text, core.Binary} {
		if kind == core.JSON && !rawjson.Valid(content) {
			continue
		}
		coretest.Frugal(t, len(content), func() {
			p := core.Payload{Kind: kind, Data: content}
			_ = core.FromJSON(core.AppendJSON(nil, p))
			_ = core.AppendText(nil, p)
			_ = core.FailureFrom(p)
			_ = p.Deeper(100)
			_ = p.Clone()
			_ = core.TraceFromHeaders(content)
		})
	}
}

// A copy of a command costs memory in proportion to the command, however many services it
// names.
func TestCostOfAClone(t *testing.T) {
	c := core.Command{Verb: core.Offer, Exclusive: true, Channel: []byte(strings.Repeat("c", 60_000))}
	size := len(c.Channel)
	for i := range 20_000 {
		c.Services = append(c.Services, fmt.Append(nil, i))
		size += len(c.Services[i]) + len(`"",`)
	}
	coretest.Frugal(t, size, func() { _ = c.Clone() })
}

// Patterns and templates are matched in one pass: if every wildcard were tried at each
// possible position, or each claim with each other, this test would take minutes.
func TestHostilePatterns(t *testing.T) {
	const levels = 5_000
	topic := strings.Repeat("a/", levels) + "a"
	for _, pattern := range []string{
		strings.Repeat("+/", levels) + "+", strings.Repeat("+/", levels) + "b", strings.Repeat("/", levels) + "+",
		strings.Repeat("+//", levels/2) + "#", strings.Repeat("#/", levels) + "#", topic + "/#",
	} {
		_ = core.MatchPattern(pattern, []byte(topic))
	}
	by := &core.Identity{Claims: map[string]any{"groups": []any{}}}
	for n := range 60 {
		by.Claims["groups"] = append(by.Claims["groups"].([]any), strings.Repeat("a", n+1))
	}
	for _, text := range []string{
		strings.Repeat("{groups}", 30), strings.Repeat("{groups}", 30) + "b", strings.Repeat("{groups}a", 30) + "/+/#",
	} {
		template, err := core.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		got := template.Match(by, []byte(strings.Repeat("a", 500)))
		if want := text == strings.Repeat("{groups}", 30); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		_ = template.Contains(by, strings.Repeat("a", 500)+"/#")
		_ = template.Overlaps(by, strings.Repeat("+/", 500)+"#")
	}
}
