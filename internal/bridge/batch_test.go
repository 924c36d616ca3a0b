package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// A batch keeps what it is told, whatever becomes of the memory it was told in, and in order.
func TestBatchCopies(t *testing.T) {
	var b batch
	for round := range 3 {
		for i := range batchEvents {
			text := []byte(fmt.Sprintf("%d in %d", i, round))
			full := b.add(core.Event{Kind: core.Message, Topic: text[:1], Payload: core.Payload{Kind: core.Text, Data: text}})
			if want := i == batchEvents-1; full != want {
				t.Fatalf("after %d events full is %v", i+1, full)
			}
			clear(text)
		}
		for i := range b.heard {
			want := fmt.Sprintf("%d in %d", i, round)
			if ev := b.heard[i].ev; string(ev.Payload.Data) != want || string(ev.Topic) != want[:1] {
				t.Errorf("event %d is %q on %q, want %q", i, ev.Payload.Data, ev.Topic, want)
			}
		}
		if b.empty(); len(b.heard) != 0 || b.bytes != 0 {
			t.Errorf("an empty batch has %d events of %d bytes", len(b.heard), b.bytes)
		}
	}
}

// A batch is bounded in bytes too, and does not keep the memory of big events.
func TestBatchIsBounded(t *testing.T) {
	var b batch
	small, big := word("x"), word(strings.Repeat("x", batchBytes))
	if b.add(core.Event{Payload: small}) || !b.add(core.Event{Payload: big}) {
		t.Error("it is full when it has little, or not when it has much")
	}
	b.empty()
	for i, k := range b.heard[:2] {
		if got, want := k.memory != nil, i == 0; got != want {
			t.Errorf("memory of event %d is kept: %v, want %v", i, got, want)
		}
	}
}
