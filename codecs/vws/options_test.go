package vws

import (
	"reflect"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func TestProtocol(t *testing.T) {
	p := Protocol()
	if p.Name != "vws" || p.Listen != ":8080" || p.Path != "/ws" {
		t.Errorf("%q %q %q", p.Name, p.Listen, p.Path)
	}
	want := Options{AllowSend: false, MaxEventSize: 32768, DrainClose: DrainGoodbye}
	if got := *p.Options().(*Options); !reflect.DeepEqual(got, want) {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	if p.Options() == p.Options() {
		t.Error("two endpoints share their options")
	}
	for name, options := range map[string]any{"another type": "other", "an invalid value": &Options{AllowSend: 1}} {
		if _, err := p.New(options, 0); err == nil {
			t.Errorf("New takes options of %s", name)
		}
		if err := p.Validate(options); err == nil {
			t.Errorf("Validate takes options of %s", name)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		want    []string // how the faults begin; none: valid
	}{
		{"nothing", Options{}, nil},
		{"all", Options{AllowSend: true, InitialSubscriptions: []string{"a", "+/#"}, SubscribePrefix: "p", MaxEventSize: 1}, nil},
		{"null", Options{AllowSend: nil}, nil},
		{"drop", Options{AllowSend: "drop"}, nil},
		{"pattern", Options{AllowSend: "+/a#/#rest"}, nil},
		{"prefix", Options{AllowSend: map[string]any{"prefix": "client/"}}, nil},
		{"from the environment", Options{AllowSend: "true"}, nil},

		{"hard drain", Options{DrainClose: DrainHard}, nil},
		{"other drain", Options{DrainClose: "soft"}, []string{"drain_close: must be"}},
		{"number", Options{AllowSend: 1}, []string{"allow_send: must be"}},
		{"list", Options{AllowSend: []any{"a"}}, []string{"allow_send: must be"}},
		{"empty text", Options{AllowSend: ""}, []string{"allow_send: must be"}},
		{"empty mapping", Options{AllowSend: map[string]any{}}, []string{"allow_send: must be"}},
		{"other key", Options{AllowSend: map[string]any{"suffix": "a"}}, []string{"allow_send: must be"}},
		{"further key", Options{AllowSend: map[string]any{"prefix": "a", "suffix": "a"}}, []string{"allow_send: must be"}},
		{"prefix no text", Options{AllowSend: map[string]any{"prefix": 1}}, []string{"allow_send.prefix: must be"}},
		{"prefix empty", Options{AllowSend: map[string]any{"prefix": ""}}, []string{"allow_send.prefix: must be"}},
		{"senseless pattern", Options{AllowSend: "a/#/b"}, []string{`allow_send: "a/#/b" matches nothing`}},
		{"all wrong", Options{AllowSend: 1, InitialSubscriptions: []string{"", "a", "#/"}, MaxEventSize: -1}, []string{
			"allow_send: must be", "initial_subscriptions: a pattern must not be empty",
			`initial_subscriptions: "#/" matches nothing`, "max_event_size: must be",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			if err := Protocol().Validate(&c.options); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(c.want) {
				t.Fatalf("%q, want %q", got, c.want)
			}
			for i, fault := range got {
				if !strings.HasPrefix(fault, c.want[i]) {
					t.Errorf("%s, want %s", fault, c.want[i])
				}
			}
		})
	}
}

// Each policy, and its decisions about topics.
func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		allowSend   any
		takes       []string
		refuses     []string
		refusalText string
	}{
		{nil, nil, []string{"a"}, "client event publishing is not allowed"},
		{false, nil, []string{"a"}, "client event publishing is not allowed"},
		{"false", nil, []string{"a", "false"}, "client event publishing is not allowed"},
		{true, []string{"a", "$call/1/x"}, nil, ""},
		{"true", []string{"a", "true"}, nil, ""},
		{"drop", []string{"a", "drop"}, nil, ""},
		{"a/b", []string{"a/b"}, []string{"a", "a/b/c", "A/b"}, "event not allowed"},
		{"+", []string{"a"}, []string{"a/b", "$a"}, "event not allowed"},
		{"a/#", []string{"a/b", "a/", "a/" + strings.Repeat("b/", 50)}, []string{"a", "b/a"}, "event not allowed"},
		{"drop/#", []string{"drop/a"}, []string{"drop"}, "event not allowed"},
		{map[string]any{"prefix": "a/"}, []string{"a/", "a/b"}, []string{"a", "b", "A/b"}, "events only allowed to topics with prefix: a/"},
		{map[string]any{"prefix": "+"}, []string{"+x"}, []string{"x"}, "events only allowed to topics with prefix: +"},
	} {
		p, err := parsePolicy(c.allowSend)
		if err != nil {
			t.Errorf("%v: %v", c.allowSend, err)
			continue
		}
		if p.refusal != c.refusalText {
			t.Errorf("%v: text %q, want %q", c.allowSend, p.refusal, c.refusalText)
		}
		for _, topic := range c.takes {
			if !p.takes([]byte(topic)) {
				t.Errorf("%v refuses %s", c.allowSend, topic)
			}
		}
		for _, topic := range c.refuses {
			if p.takes([]byte(topic)) {
				t.Errorf("%v takes %s", c.allowSend, topic)
			}
		}
	}
}

func TestMatchesNothing(t *testing.T) {
	for pattern, want := range map[string]bool{
		"": true, "#/": true, "a/#/b": true, "#x/+": true,
		"#": false, "a": false, "a/#": false, "a/#x": false, "a#/b": false, "+/": false, "/": false,
	} {
		if got := matchesNothing(pattern); got != want {
			t.Errorf("%q: %v", pattern, got)
		}
	}
}

func TestGoodbye(t *testing.T) {
	p := Protocol()
	for max, want := range map[int]string{0: "read limited at 32769 bytes", 100: "read limited at 101 bytes"} {
		format, err := p.New(p.Options(), max)
		if err != nil {
			t.Fatal(err)
		}
		for r := range core.NumReasons {
			text := r.String()
			switch r {
			case core.ReasonNormal:
				text = ""
			case core.ReasonDrain:
				text = "Server shutting down"
			case core.ReasonTooLarge:
				text = want
			}
			if code, got := format.Goodbye(r); code != r.CloseCode() || got != text {
				t.Errorf("%v: %d %q, want %d %q", r, code, got, r.CloseCode(), text)
			}
		}
	}
}

func TestProfile(t *testing.T) {
	want := core.Profile{MaxMessage: 32768, PingInterval: 30e9, PongTimeout: 40e9, Deflate: true, SameOrigin: true, HTTP11: true, PlainStatus: 426}
	if got := newTestFormat(t, `{}`).Profile(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
