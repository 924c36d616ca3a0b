package nats

import (
	"context"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// TestWrittenUpToTheCall: who waits until what was put in is written does not wait for what comes
// later, of which there may always be some. Broken version: it waits for an empty outbox.
func TestWrittenUpToTheCall(t *testing.T) {
	o := newOutbox(1<<20, new(core.ClusterStats), func(core.NodeID, core.CallID) {})
	put := func() {
		t.Helper()
		if err := o.put(outgoing{publish: true}, func(dst []byte) []byte { return append(dst, 's') }, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	o.open = true
	put()
	put()
	position := o.progress.Position()
	items, bytes := o.take(nil, nil)
	put()
	ended, cancel := context.WithCancel(t.Context())
	cancel() // what is written then is dropped
	o.write(ended, nil, "", items[:1], bytes[:2])
	if err := o.progress.Await(ended, position); err == nil {
		t.Error("the second message is not waited for")
	}
	o.write(ended, nil, "", items[1:], bytes[2:])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := o.progress.Await(ctx, position); err != nil {
		t.Errorf("a message that came later is waited for: %v", err)
	}
}
