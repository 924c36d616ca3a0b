package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help show what clients say and hear.
func TestExamplesOfTap(t *testing.T) {
	s := speak(t, "")
	ex := examples(t, newTap(), 5)
	tap := s.tap(t, ex[0])
	s.enter(t, "broker pub wsify://127.0.0.1:3000/ws news/today hello").ends(t)
	coretest.Eventually(t, "the client has left", func() bool { return strings.Contains(tap.text(), "ends the connection") })
	tap.stop()
	got := tap.ends(t)
	for _, want := range []string{" > GET /ws HTTP/1.1\n", " < HTTP/1.1 101 ", ` > {"command":"broadcast","args":{"channel":"news/today","content":"hello"}}` + "\n", " > closes 1000 \n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}

	// Nobody has this number, so nothing of what others say is shown.
	one := s.tap(t, strings.Replace(ex[1], " 7 ", " 1000000 ", 1))
	second := s.enter(t, "broker tap --config config.yaml web")
	if err := coretest.Receive(t, "the end of the command", second.done); err == nil || !strings.Contains(second.text(), "it is tapped already") {
		t.Errorf("a second tap: %v, %s", err, second.text())
	}
	s.enter(t, "broker pub wsify://127.0.0.1:3000/ws news/today hello").ends(t)
	one.stop()
	if got := one.ends(t); strings.Contains(got, "hello") {
		t.Error(got)
	}
	gone := s.enter(t, strings.Replace(ex[2], " 7", " 1000000", 1))
	if err := coretest.Receive(t, "the end of the command", gone.done); err == nil || !strings.Contains(gone.text(), "there is no connection 1000000") {
		t.Errorf("a connection that is none: %v, %s", err, gone.text())
	}
	topic, sampled := s.tap(t, ex[3]), s.tap(t, strings.Replace(ex[4], "0.01", "1", 1))
	s.enter(t, `broker pub wsify://127.0.0.1:3000/ws news/today '{"password":"x"}'`).ends(t)
	coretest.Eventually(t, "the message is shown", func() bool {
		return strings.Contains(topic.text(), "nobody hears it here") && strings.Contains(sampled.text(), "nobody hears it here")
	})
	topic.stop()
	sampled.stop()
	if got := topic.ends(t); !strings.Contains(got, "  news/today  #1\n  in   web (wsify), connection ") || !strings.Contains(got, "\n       {\"password\":\"x\"}\n") {
		t.Error(got)
	}
	if got := sampled.ends(t); strings.Contains(got, `"x"`) || !strings.Contains(got, "\n       {\"password\":\"[redacted]\"}\n") {
		t.Error(got)
	}
	none := s.enter(t, "broker tap --config config.yaml nobody")
	if err := coretest.Receive(t, "the end of the command", none.done); err == nil || !strings.Contains(none.text(), `there is no endpoint "nobody"; endpoints: `) {
		t.Errorf("an endpoint that is none: %v, %s", err, none.text())
	}
}

// tap enters a command that taps, again if the broker has not noticed yet that the tap before has ended.
func (s *speaking) tap(t *testing.T, command string) (c *typed) {
	t.Helper()
	coretest.Eventually(t, "it shows", func() bool {
		c = s.enter(t, command)
		shows := func() bool { return strings.Contains(c.text(), "an interrupt ends it") }
		ended := false
		coretest.Eventually(t, "it shows, or has ended", func() bool {
			select {
			case <-c.done:
				ended = true
			default:
			}
			return ended || shows()
		})
		return !ended
	})
	return c
}

// Events read as people need them, whatever clients put into them.
func TestTapText(t *testing.T) {
	for want, ev := range map[string]core.TapEvent{
		`{"a":1}`:                  {Kind: core.TapText, Data: []byte(`{"a":1}`), Size: 7},
		`"\x1b[2J"`:                {Kind: core.TapText, Data: []byte("\x1b[2J"), Size: 4},
		`binary "\x00\xff"`:        {Kind: core.TapBinary, Data: []byte{0, 255}, Size: 2},
		"text of 99 bytes":         {Kind: core.TapText, Size: 99},
		"GET / HTTP/1.1":           {Kind: core.TapRequest, Data: []byte("GET / HTTP/1.1\r\nAuthorization: x\r\n\r\n")},
		"closes":                   {Kind: core.TapClose},
		"closes 1008 no":           {Kind: core.TapClose, Data: append(binary.BigEndian.AppendUint16(nil, 1008), "no"...)},
		"breaks the protocol: why": {Kind: core.TapFault, Data: []byte("why")},
		"a message of 5 bytes is dropped: the client reads too slowly": {Kind: core.TapDropped, Size: 5},
		"ends the connection": {Kind: core.TapEnd},
		"3 events are missing here: they were not read fast enough": {Kind: core.TapLost, Lost: 3},
	} {
		if got := tapText(ev); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	var out strings.Builder
	if err := (&tapping{asJSON: true}).print(&out, core.TapEvent{Connection: 7, Kind: core.TapEnd}); err != nil || !strings.HasPrefix(out.String(), `{"connection":7,"direction":"in",`) {
		t.Error(fmt.Sprint(out.String(), err))
	}
}

// A message reads as a block, with the content in each form.
func TestTapBlocks(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.Local)
	about := func(of core.TapMessage) *core.TapMessage {
		of.Number, of.Topic = 7, "news/today"
		return &of
	}
	ev := func(kind core.TapKind, late time.Duration, data string, m *core.TapMessage) core.TapEvent {
		return core.TapEvent{Kind: kind, Time: at.Add(late), Data: []byte(data), Size: len(data), Message: m, FromServer: m.Receivers > 0, Connection: 3}
	}
	long := ev(core.TapText, 30*time.Microsecond, `{"n":`, about(core.TapMessage{Endpoint: "rooms", Protocol: "stocking", Receivers: 1}))
	long.Size = 100
	next := ev(core.TapPublished, time.Second, "", &core.TapMessage{Number: 8, Topic: "a\nb", From: core.FromNode, Payload: "absent"})
	var out strings.Builder
	var blocks tapBlocks
	for _, one := range []core.TapEvent{
		ev(core.TapText, 0, `{"t":"news/today","d":{"n":1}}`, about(core.TapMessage{Endpoint: "web", Protocol: "vws"})),
		ev(core.TapPublished, 0, `{"n":1}`, about(core.TapMessage{Endpoint: "web", Protocol: "vws", User: "anna", Payload: "json", Headers: []byte(`{"a":"b"}`), Encodings: 3, From: core.FromConnection})),
		ev(core.TapBinary, 20*time.Microsecond, "\x01\xff", about(core.TapMessage{Endpoint: "app", Protocol: "webwire", Receivers: 2, Changes: []string{"the headers are lost"}})),
		long,
		ev(core.TapUnwritable, 40*time.Microsecond, "too long", about(core.TapMessage{Endpoint: "old", Protocol: "wsify", Receivers: 1})),
		{Kind: core.TapLost, Lost: 3, Time: at},
		next,
	} {
		if err := blocks.print(&out, one); err != nil {
			t.Fatal(err)
		}
	}
	if want := `07:08:09.000  news/today  #7
  in   web (vws), connection 3, text of 30 bytes
       {"t":"news/today","d":{"n":1}}
  is   json, 7 bytes, headers {"a":"b"}, from anna
       {"n":1}
  out  app (webwire), 2 connections, +20µs, binary of 2 bytes
       "\x01\xff"
       ! the headers are lost
  out  rooms (stocking), 1 connection, +30µs, text of 100 bytes
       {"n":… (100 bytes)
  out  old (wsify), 1 connection, +40µs, cannot be written
       too long
07:08:09.000 3 events are missing here: they were not read fast enough

07:08:10.000  "a\nb"  #8
  in   another node of the cluster
  is   absent, 0 bytes
  out  nobody hears it here
`; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
