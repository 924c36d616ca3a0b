package redis

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// TestWrittenUpToTheCall: who waits until what was put in is written does not wait for what comes
// later, of which there may always be some. Broken version: it waits for an empty outbox.
func TestWrittenUpToTheCall(t *testing.T) {
	o := newOutbox(1<<20, new(core.ClusterStats), slog.New(slog.DiscardHandler), func(core.NodeID, core.CallID, bool) {})
	put := func() {
		t.Helper()
		text := func(dst []byte) []byte { return append(dst, 'x') }
		if err := o.put(outgoing{publish: 2}, 1, text, text); err != nil {
			t.Fatal(err)
		}
	}
	o.start()
	put()
	put()
	position := o.progress.Position()
	items := o.items
	o.items = nil
	put()
	o.drop(items[:1])
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.progress.Await(ended, position); err == nil {
		t.Error("the second message is not waited for")
	}
	o.answered(&items[1], 1, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := o.progress.Await(ctx, position); err != nil {
		t.Errorf("a message that came later is waited for: %v", err)
	}
}
