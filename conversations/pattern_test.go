package conversations

import (
	"maps"
	"testing"
)

func TestMatchText(t *testing.T) {
	for _, c := range []struct {
		name, pattern, got string
		known              variables
		match              bool
		captured           variables
	}{
		{name: "equal", pattern: `{"a":1,"b":[true,null]}`, got: `{ "b": [true, null], "a": 1 }`, match: true},
		{name: "big numbers are digits", pattern: `9007199254740993`, got: `9007199254740992`},
		{name: "1e400", pattern: `{"n":1e400}`, got: `{"n":1e400}`, match: true},
		{name: "1.0 is not 1", pattern: `1.0`, got: `1`},
		{name: "escapes are characters", pattern: `"<é"`, got: `"\u003c\u00e9"`, match: true},
		{name: "a string is no number", pattern: `"1"`, got: `1`},
		{name: "missing key", pattern: `{"a":1,"b":2}`, got: `{"a":1}`},
		{name: "key besides", pattern: `{"a":1}`, got: `{"a":1,"b":2}`},
		{name: "open object", pattern: `{"a":1,...}`, got: `{"b":2,"a":1}`, match: true},
		{name: "open and empty", pattern: `{...}`, got: `{"b":2}`, match: true},
		{name: "open object is an object", pattern: `{...}`, got: `[]`},
		{name: "longer array", pattern: `[1]`, got: `[1,2]`},
		{name: "double keys in order", pattern: `{"a":1,"a":2}`, got: `{"a":1,"a":2}`, match: true},
		{name: "double keys out of order", pattern: `{"a":1,"a":2}`, got: `{"a":2,"a":1}`},
		{name: "any value", pattern: `{"a":*}`, got: `{"a":{"b":1}}`, match: true},
		{name: "any value is one", pattern: `{"a":*}`, got: `{}`},
		{name: "a star in a string is a star", pattern: `{"a":"*"}`, got: `{"a":"x"}`},
		{name: "anything", pattern: `*`, got: `no json`, match: true},
		{name: "capture", pattern: `{"id":$id}`, got: `{"id": "x"}`, match: true, captured: variables{"id": `"x"`}},
		{name: "captured twice", pattern: `[$a,$a]`, got: `[1,2]`},
		{name: "known", pattern: `[$a]`, got: `[1]`, known: variables{"a": "1"}, match: true},
		{name: "known and other", pattern: `[$a]`, got: `[2]`, known: variables{"a": "1"}},
		{name: "text", pattern: `hello`, got: `hello`, match: true},
		{name: "text differs", pattern: `hello`, got: `hello!`},
		{name: "text with star", pattern: `a*c`, got: "a\nbc", match: true},
		{name: "text with escaped star", pattern: `a\*c`, got: `abc`},
		{name: "text captures", pattern: `0$n,*`, got: `0123,x`, match: true, captured: variables{"n": "123"}},
		{name: "text is no expression", pattern: `a.c`, got: `abc`},
		{name: "JSON pattern, text arrived", pattern: `{"a":1}`, got: `{"a":1`},
		{name: "pattern's tokens are no JSON", pattern: `[*]`, got: `[*]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := variables{}
			maps.Copy(v, c.known)
			why := matchText(c.pattern, c.got, v)
			if (why == "") != c.match {
				t.Fatalf("match %v, because %q", why == "", why)
			}
			for name, value := range c.captured {
				if v[name] != value {
					t.Errorf("captured $%s = %q, want %q", name, v[name], value)
				}
			}
		})
	}
}

func TestMatchBytes(t *testing.T) {
	for _, c := range []struct {
		name, pattern, got string
		match              bool
	}{
		{"equal", `00 ff "ab"`, "\x00\xffab", true},
		{"backquotes", "00 `\\\"` \"\\\"\"", "\x00\\\"\"", true},
		{"shorter", `00 ff`, "\x00", false},
		{"longer", `00`, "\x00\x00", false},
		{"run in the middle", `00 * ff`, "\x00abc\xff", true},
		{"empty run", `00 * ff`, "\x00\xff", true},
		{"two runs", `* 01 * 02`, "x\x01y\x01z\x02", true},
		{"run without its end", `00 * ff`, "\x00abc", false},
		{"captured", `"<" $new ">"`, "<abc>", true},
		{"captured before", `"<" $id ">"`, "<7>", true},
		{"captured before as another", `"<" $id ">"`, "<8>", false},
		{"nothing", ``, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := variables{"id": "7"}
			runs, err := parseBytes(c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := matchBytes(runs, []byte(c.got), v); got != c.match {
				t.Errorf("match %v", got)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	v := variables{"id": `"ab-Cd"`, "n": "12", "webhook.auth": "http://x", "plain": `x "&y`, "short": "a😀"}
	for _, c := range []struct{ text, want string }{
		{"plain $ and {}", "plain $ and {}"},
		{"${n}-${n}", "12-12"},
		{`{"id":${id}}`, `{"id":"ab-Cd"}`},
		{"{${text id}}", "{ab-Cd}"},
		{"${upper id} ${undashed id}", "AB-CD abCd"},
		{"${json id} ${json plain}", `"ab-Cd" "x \"&y"`},
		{"${query plain} ${query id}", "x+%22%26y ab-Cd"},
		{"${utf16 short}", "61003dd800de"},
		{"${repeat 3 ab}", "ababab"},
		{`${repeat 2 {"a":}1${repeat 2 \}}`, `{"a":{"a":1}}`},
		{"${webhook.auth}/x", "http://x/x"},
		{"$${n}", "${n}"},
	} {
		if got, err := v.expand(c.text); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"${unknown}", "${n", "${repeat x y}", "${repeat 999999999 xx}", "${lower n}"} {
		if got, err := v.expand(text); err == nil {
			t.Errorf("%s: got %q and no error", text, got)
		}
	}
}

func TestSumMetric(t *testing.T) {
	const page = "# HELP a_total x\n" +
		"a_total{endpoint=\"w\",reason=\"x\"} 2\n" +
		"a_total{endpoint=\"v\",reason=\"x\"} 3\n" +
		"a_total{endpoint=\"w\",reason=\"y\\\"}\"} 5\n" +
		"a_total_more 7\nplain 1.5e3\n"
	for _, c := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{"a_total", nil, 10},
		{"a_total", map[string]string{"endpoint": "w"}, 7},
		{"a_total", map[string]string{"endpoint": "w", "reason": "x"}, 2},
		{"a_total", map[string]string{"reason": `y"}`}, 5},
		{"a_total", map[string]string{"reason": "z"}, 0},
		{"plain", nil, 1500},
		{"a", nil, 0},
	} {
		if got, _ := sumMetric(page, c.name, c.labels); got != c.want {
			t.Errorf("%s%v: got %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}
