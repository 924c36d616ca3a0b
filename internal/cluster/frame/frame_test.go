package frame

import (
	"reflect"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// FuzzFrame: no message to a node makes one that cannot be.
func FuzzFrame(f *testing.F) {
	call := core.CallID{6: 0x40, 8: 0x80}
	for _, fr := range []Frame{
		{Kind: Ask, Call: call, Service: []byte("s"), Timeout: 5, Payload: core.Payload{Kind: core.JSON, Data: []byte("1")}},
		{Kind: Answer, Call: call, Failure: core.Failure{Code: "x", Text: "y"}},
		{Kind: Answer, Call: call, Payload: core.TextUTF16([]byte("ab"))},
		{Kind: Cancel, Call: call},
		{Kind: Sync, Sync: 5, Rev: 1 << 60},
		{Kind: Taken, Notice: []byte("n-a-1")},
	} {
		fr.From = "n-a-1"
		f.Add(fr.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Read(data)
		if err != nil {
			return
		}
		if err := got.Payload.Check(); err != nil || got.Timeout < 0 || got.Timeout > MaxTimeout {
			t.Errorf("%+v: %v", got, err)
		}
		again, err := Read(got.Append(nil))
		if err != nil || !reflect.DeepEqual(again.Payload, got.Payload) || again.Failure != got.Failure || again.Call != got.Call {
			t.Errorf("%+v is written as %+v: %v", got, again, err)
		}
	})
}

// TestLongFailure: the other node takes a failure of any text.
func TestLongFailure(t *testing.T) {
	f := Frame{Kind: Answer, From: "n-a-1", Call: core.CallID{6: 0x40, 8: 0x80}, Failure: core.Failure{
		Code: core.Code(strings.Repeat("c", 2*maxFailure)), Text: strings.Repeat("\xff", 10) + strings.Repeat("ü", maxFailure),
	}}
	if got, err := Read(f.Append(nil)); err != nil || !got.Failure.Failed() || got.Failure.Text == "" {
		t.Errorf("%d bytes of code, %d of text: %v", len(got.Failure.Code), len(got.Failure.Text), err)
	}
}
