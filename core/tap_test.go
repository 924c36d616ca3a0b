package core_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// An event is one line of JSON, text where it can be, and is read as it was.
func TestTapEventJSON(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 8, 9, 1000, time.UTC)
	for _, c := range []struct {
		event core.TapEvent
		want  string
	}{
		{core.TapEvent{Connection: 7, Kind: core.TapText, Data: []byte("<a\nü>"), Size: 6}, `"connection":7,"direction":"in","time":"2026-05-06T07:08:09.000001Z","kind":"text","size":6,"text":"<a\nü>"`},
		{core.TapEvent{Kind: core.TapBinary, FromServer: true, Data: []byte("ab"), Size: 2}, `"direction":"out","time":"2026-05-06T07:08:09.000001Z","kind":"binary","size":2,"base64":"YWI="`},
		{core.TapEvent{Kind: core.TapRequest, Data: []byte("GET /\xff"), Size: 6}, `"kind":"request","size":6,"base64":"R0VUIC//"`},
		{core.TapEvent{Kind: core.TapClose, Data: []byte("\x03\xe8bye"), Size: 5}, `"kind":"close","size":5,"code":1000,"text":"bye"`},
		{core.TapEvent{Kind: core.TapClose, Data: []byte("\x03\xe8"), Size: 2}, `"size":2,"code":1000`},
		{core.TapEvent{Kind: core.TapClose, Data: []byte("\x03\xe8\xff"), Size: 3}, `"code":1000,"base64":"/w=="`},
		{core.TapEvent{Kind: core.TapClose, Data: []byte("\x03"), Size: 1}, `"kind":"close","size":1,"text":"\u0003"`},
		{core.TapEvent{Kind: core.TapClose}, `"kind":"close","size":0`},
		{core.TapEvent{Kind: core.TapLost, Lost: 3, Size: 9}, `"kind":"lost","size":9,"lost":3`},
		{core.TapEvent{Kind: core.TapText, Size: 1 << 30}, `"kind":"text","size":1073741824`},
	} {
		c.event.Time = at
		line, err := c.event.MarshalJSON()
		if err != nil || !strings.Contains(string(line), c.want) || strings.Contains(string(line), "\n") {
			t.Errorf("got %s, %v, want %s", line, err, c.want)
		}
		var back core.TapEvent
		if err := json.Unmarshal(line, &back); err != nil || !reflect.DeepEqual(back, c.event) {
			t.Errorf("%s is read as %+v, %v", line, back, err)
		}
	}
	for _, bad := range []string{`[]`, `{}`, `{"direction":"up"}`} {
		if err := json.Unmarshal([]byte(bad), new(core.TapEvent)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}
