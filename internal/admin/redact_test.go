package admin

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/polywire/polywire/core"
)

func utf16Of(text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

// What the rules name is not shown, however it is written; what cannot be looked into is hidden.
func TestRedactContent(t *testing.T) {
	r := newRedactor(Redact{Keys: []string{"PIN", "a/b"}, Headers: []string{"x-user"}}, false)
	for said, want := range map[string]string{
		`{"n":1}`:                             `{"n":1}`,
		`{"pin" : "0000", "n":1}`:             `{"pin" :"[redacted]", "n":1}`,
		`{"Pin":{"a":["}",1]},"n":1}`:         `{"Pin":"[redacted]","n":1}`,
		`[{"pin":-1e9}]`:                      `[{"pin":"[redacted]"}]`,
		`{"p\u0069n":1}`:                      `{"p\u0069n":"[redacted]"}`,
		`{"a\/b":1}`:                          `{"a\/b":"[redacted]"}`,
		`{"X-User":"me"}`:                     `{"X-User":"[redacted]"}`,
		`{"d":"{\"pin\":1}"}`:                 `{"d":"{\"pin\":\"[redacted]\"}"}`,
		`{"d":"{\"d\":\"{\\\"pin\\\":1}\"}"}`: `{"d":"{\"d\":\"{\\\"pin\\\":\\\"[redacted]\\\"}\"}"}`,
		`{"say":"the pin"}`:                   `{"say":"the pin"}`,
		`5,room,{"pin":1}`:                    `5,room,{"pin":"[redacted]"}`,
		"\x01\xff" + `{"pin":1}` + "\x02":     "\x01\xff" + `{"pin":"[redacted]"}` + "\x02",
		`5,room,{"n":1}`:                      `5,room,{"n":1}`,
		`5,room,pin=1`:                        redacted,
		`{"pin":1`:                            redacted,
		utf16Of(`{"pin":1}`):                  redacted,
		strings.Repeat("{", 100) + "pin":      redacted,
		`{"d":"` + base64.StdEncoding.EncodeToString([]byte(`{"pin":"0000"}`)) + `"}`:                    `{"d":"[redacted]"}`,
		`{"d":"` + base64.RawURLEncoding.EncodeToString([]byte(`{"hello":"world, how are you"}`)) + `"}`: `{"d":"` + base64.RawURLEncoding.EncodeToString([]byte(`{"hello":"world, how are you"}`)) + `"}`,
	} {
		if got := string(r.content([]byte(said), 0)); got != want {
			t.Errorf("%q is shown as %q, want %q", said, got, want)
		}
	}
}

// Credentials in requests are left out unless they are asked for.
func TestRedactRequests(t *testing.T) {
	request := "GET /ws?access_token=x&room=1&%6Bey=y HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nCookie: a=b\r\nX-Api-Key: k\r\n" +
		"Sec-WebSocket-Key: n\r\nSec-WebSocket-Protocol: chat, bearer, secret\r\nReferer: http://h/?token=x&a=1\r\nX-Customer: me\r\n\r\n{\"pin\":1}"
	shown := "GET /ws?access_token=[redacted]&room=1&%6Bey=[redacted] HTTP/1.1\r\nHost: h\r\nAuthorization: [redacted]\r\nCookie: [redacted]\r\nX-Api-Key: [redacted]\r\n" +
		"Sec-WebSocket-Key: n\r\nSec-WebSocket-Protocol: chat, bearer, [redacted]\r\nReferer: http://h/?token=[redacted]&a=1\r\nX-Customer: [redacted]\r\n\r\n{\"pin\":\"[redacted]\"}"
	rules := Redact{Keys: []string{"pin"}, Headers: []string{"x-customer"}}
	ev := core.TapEvent{Kind: core.TapRequest, Data: []byte(request), Size: len(request)}
	newRedactor(rules, false).apply(&ev)
	if string(ev.Data) != shown || !ev.Redacted || ev.Size != len(request) {
		t.Errorf("%+v\n%q", ev, ev.Data)
	}
	for _, all := range []string{request, "GET / HTTP/1.1", "HTTP/1.1 101 Switching Protocols\r\nSet-Cookie: a\r\n\r\n"} {
		ev = core.TapEvent{Kind: core.TapRequest, Data: []byte(all)}
		if newRedactor(Redact{}, true).apply(&ev); string(ev.Data) != all || ev.Redacted {
			t.Errorf("with credentials %q", ev.Data)
		}
	}
}

// Of topics that are not shown nothing is, and no frame that could be about them.
func TestRedactTopics(t *testing.T) {
	r := newRedactor(Redact{Topics: []string{"private/#"}}, false)
	for _, c := range []struct {
		event core.TapEvent
		shown bool
	}{
		{core.TapEvent{Kind: core.TapText}, false},
		{core.TapEvent{Kind: core.TapPublished, Message: &core.TapMessage{Topic: "private/x", Headers: []byte(`{"a":"b"}`)}}, false},
		{core.TapEvent{Kind: core.TapBinary, Message: &core.TapMessage{Topic: "private/x/y"}}, false},
		{core.TapEvent{Kind: core.TapText, Message: &core.TapMessage{Topic: "news", Headers: []byte(`{"a":"b"}`)}}, true},
	} {
		ev := c.event
		ev.Data, ev.Size = []byte("hello"), 5
		r.apply(&ev)
		if (len(ev.Data) > 0) != c.shown || ev.Redacted == c.shown || ev.Size != 5 || ev.Message != nil && !c.shown && ev.Message.Headers != nil {
			t.Errorf("%+v, %+v", ev, ev.Message)
		}
	}
	for _, bad := range []Redact{{Keys: []string{""}}, {Headers: []string{""}}, {Topics: []string{"#/a"}}, {Topics: []string{""}}} {
		if bad.Check() == nil {
			t.Errorf("%+v is a rule", bad)
		}
	}
}

// What is cut is cut between characters.
func TestCut(t *testing.T) {
	for text, want := range map[string]string{"abcdef": "abcd", "abcä": "abc", "\xff\xff\xff\xff\xff": "\xff\xff\xff\xff", "abc": "abc"} {
		ev := core.TapEvent{Kind: core.TapText, Data: []byte(text), Size: len(text)}
		view{newRedactor(Redact{}, false), 4}.show(&ev)
		if string(ev.Data) != want || ev.Size != len(text) || ev.Redacted {
			t.Errorf("%q: %+v", text, ev)
		}
	}
}

// Looking costs time in proportion to what is looked at, whatever it is, and no rule makes what is shown disappear.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{`{"pin":1}`, `{"d":"{\"pin\":1}"}`, `5,a,{"pin":[1,{"b":"x"}]}`, "{{{{[[[["} {
		f.Add([]byte(seed))
	}
	r, none := newRedactor(Redact{Keys: []string{"pin"}}, false), newRedactor(Redact{}, true)
	f.Fuzz(func(t *testing.T, data []byte) {
		if !bytes.Equal(none.content(data, 0), data) {
			t.Error("changed without a rule")
		}
		once := r.content(data, 0)
		if again := r.content(once, 0); !bytes.Equal(again, once) {
			t.Errorf("%q, and again %q", once, again)
		}
	})
}
