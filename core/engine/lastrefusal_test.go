package engine

import (
	"reflect"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// A connection is shown with what it was refused last; of a long topic with its beginning.
func TestLastRefusal(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, owner := s.connect(0), s.connect(0)
	owner.do(own("c"))
	x.do(sub("a"))
	if got := x.peer.Holdings().LastRefusal; got != nil {
		t.Errorf("at first it is %+v", got)
	}
	for _, tt := range []struct {
		c    core.Command
		want core.Refusal
	}{
		{pub("c/x", "m"), core.Refusal{Reason: core.ReasonNotOwner, Verb: core.Publish, Topic: "c/x"}},
		{own("c"), core.Refusal{Reason: core.ReasonTaken, Verb: core.Offer}},
		{pub("c/"+strings.Repeat("x", 1000), "m"), core.Refusal{Reason: core.ReasonNotOwner, Verb: core.Publish, Topic: "c/" + strings.Repeat("x", maxRefusedTopic-2)}},
		{ask("nobody", "q"), core.Refusal{Reason: core.ReasonNoService, Verb: core.Call, Topic: "nobody"}},
	} {
		x.do(tt.c)
		x.do(sub("b")) // which is not refused
		tt.want.At = w.clock()
		if got := x.peer.Holdings().LastRefusal; got == nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("after %v it is %+v, want %+v", tt.c.Verb, got, tt.want)
		}
	}
	x.peer.Refused(core.ReasonMalformed, core.Failure{Code: core.Invalid})
	if got := x.peer.Holdings().LastRefusal; got.Reason != core.ReasonMalformed || got.Verb != core.None || got.Topic != "" {
		t.Errorf("after a message that cannot be read it is %+v", got)
	}
	x.do(pub("c/x", "m"))
	c := pub("c/x", "m")
	if n := testing.AllocsPerRun(100, func() { x.peer.(*peer).noteRefusal(c.Verb, c.Topic, core.ReasonNotOwner) }); n > 0 {
		t.Errorf("a refusal costs %v allocations", n)
	}
}
