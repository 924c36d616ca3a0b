package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help show what clients say and hear.
func TestExamplesOfTap(t *testing.T) {
	s := speak(t, "")
	ex := examples(t, newTap(), 2)
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
