package engine

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/polywire/polywire/core"
)

// What a connection has is named as its client names it, sorted, and bounded.
func TestHoldings(t *testing.T) {
	w := newWorld(t, 1)
	x, other := w.site(core.Endpoint{TopicPrefix: "in/"}).connect(0), w.site(core.Endpoint{}).connect(0)
	if got := x.peer.Holdings(); !reflect.DeepEqual(got, core.Holdings{}) {
		t.Errorf("at first it has %+v", got)
	}
	x.do(sub("b"), sub("a"), subPattern("p/+"), share("s"), own("c", "c/d"))
	call := core.Command{Verb: core.Call, Topic: b("in/s"), Ref: b("r"), Timeout: 1 << 40}
	other.do(call, call)
	x.settled()
	want := core.Holdings{Topics: []string{"a", "b"}, Patterns: []string{"p/+"}, Services: []string{"s"}, Channels: []string{"c"}, Asked: 2}
	if got := x.peer.Holdings(); !reflect.DeepEqual(got, want) {
		t.Errorf("it has %+v, want %+v", got, want)
	}
	for topic, hears := range map[string]bool{"in/a": true, "in/p/x": true, "a": false, "p/x": false, "in/p": false, "in/c": false} {
		if x.peer.Hears(topic) != hears {
			t.Errorf("it hears %s: %v", topic, !hears)
		}
	}
	if got := other.peer.Holdings(); !reflect.DeepEqual(got, core.Holdings{Asking: 2}) {
		t.Errorf("who asks has %+v", got)
	}
	for i := range core.MaxHoldings {
		x.do(sub(fmt.Sprint(i)))
	}
	if got := x.peer.Holdings(); len(got.Topics) != core.MaxHoldings || got.More != 2 {
		t.Errorf("it has %d topics and %d more", len(got.Topics), got.More)
	}
}
