package network

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// TestRoomForAll: while some clients publish messages that are each larger than a mailbox's
// bound, the small messages of the others all reach receivers that read. Broken version:
// awaitRoom only after a message, or full that checks only the bytes.
func TestRoomForAll(t *testing.T) {
	const (
		full            = 2 << 20
		big, bigs, huge = 2, 8, 3 << 20
		small, smalls   = 30, 200
	)
	r := start(t, func(o *Options, ep *Endpoint) {
		o.OutboundBudget = 1 << 30
		ep.MaxMessage = 2 * huge
		ep.Settings.OutboundLimit = 1 << 30
	})
	var heard, said sync.WaitGroup
	for range 2 {
		c := r.subscriber()
		_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
		heard.Go(func() {
			for n := range big*bigs + small*smalls {
				if _, err := ws.ReadFrame(c); err != nil {
					t.Errorf("after %d messages: %v", n, err)
					return
				}
			}
		})
	}
	for _, l := range r.loopList() {
		l.mailbox.mu.Lock()
		l.mailbox.fullBytes, l.mailbox.congestedBytes = full, full/4
		l.mailbox.mu.Unlock()
	}
	publish := func(n int, text string) {
		c := r.dial("chat")
		_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
		said.Go(func() {
			for range n {
				if _, err := c.Write(masked(ws.OpText, true, "pub "+text)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range big {
		publish(bigs, strings.Repeat("x", huge))
	}
	for range small {
		publish(smalls, "x")
	}
	said.Wait()
	eventually(t, "all messages have come in", func() bool {
		return r.stats.MessagesIn.Load() == 2+big*bigs+small*smalls
	})
	if n := r.stats.Dropped[core.ReasonOverload].Load(); n != 0 {
		t.Fatalf("%d messages found no room", n)
	}
	heard.Wait()
}

// TestRoomAtLast: clients that are held while a mailbox is congested continue when it is not,
// however many they are, and other publishers wait in the same way. Broken version: a mailbox
// that is congested by the functions that let them continue.
func TestRoomAtLast(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	c := r.subscriber()
	link := r.hub.newest()
	l := r.loopAt(0)
	filled, looked := make(chan struct{}), make(chan struct{})
	l.post(mail{fn: func() {
		// The turn lasts so long that the mailbox fills.
		for i := range congestedMails {
			link.Send(core.Event{Kind: core.Pong, Ref: fmt.Append(nil, i)})
		}
		if !l.congested.Load() {
			t.Error("events do not congest a mailbox")
		}
		// As many are held as a mailbox may have messages.
		for range 2 * congestedMails {
			r.wait(func() { l.post(mail{fn: func() {}}) })
		}
		close(filled)
		<-looked
	}})
	<-filled
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.WaitForRoom(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up waiting: %v", err)
	}
	close(looked)
	for i := range congestedMails {
		c.expect(fmt.Sprint(i))
	}
	if err := r.WaitForRoom(t.Context()); err != nil {
		t.Error(err)
	}
	c.send("echo free")
	c.expect("free")
	if l.congested.Load() || r.congested.Load() != 0 {
		t.Error("the mailbox is congested for ever")
	}
}

// TestRoomForMany: a mailbox is congested by the connections that its messages go to, not only
// by their number: thousands of messages for thousands of clients are seconds of work, and
// everybody else would wait for it. Broken version: congested that checks only mails and
// bytes.
func TestRoomForMany(t *testing.T) {
	const receivers = 300
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	all := make([]*client, receivers)
	for i := range all {
		all[i] = r.subscriber()
	}
	l := r.loopAt(0)
	n := 0
	turn := make(chan struct{})
	l.post(mail{fn: func() {
		defer close(turn)
		for n < congestedMails/2 && !l.congested.Load() {
			r.hub.publish([]byte("x"), nil)
			n++
		}
	}})
	<-turn
	if n*receivers > congestedWork+receivers {
		t.Errorf("%d messages for %d clients have room in a mailbox", n, receivers)
	}
	for _, c := range all {
		_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
		for range n {
			c.expect("x")
		}
	}
	eventually(t, "there is room again", func() bool { return r.congested.Load() == 0 })
}

// TestRoomInTurn: senders that wait for room continue in order, and later ones wait behind them.
// Broken version: all continue at once, so that the first one fills the mailbox again.
func TestRoomInTurn(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	r.dial("chat")
	l := r.loopAt(0)
	var turns []int
	done := make(chan struct{})
	l.post(mail{fn: func() {
		defer close(done)
		wait := func(n int) {
			if !r.wait(func() { turns = append(turns, n) }) {
				t.Errorf("%d need not wait", n)
			}
		}
		r.congested.Add(1)
		for n := range letInAtOnce + 1 {
			wait(n)
		}
		l.letIn()
		if len(turns) > 0 {
			t.Errorf("%d go on although there is no room", len(turns))
		}
		r.congested.Add(-1)
		wait(letInAtOnce + 1)
		l.letIn()
		if len(turns) != letInAtOnce {
			t.Errorf("%d go on at once, want %d", len(turns), letInAtOnce)
		}
		l.letIn()
		for i, n := range turns {
			if n != i {
				t.Errorf("turns %v", turns)
				break
			}
		}
		if len(turns) != letInAtOnce+2 || r.wait(func() {}) {
			t.Errorf("%d of %d have gone on, and others still wait", len(turns), letInAtOnce+2)
		}
	}})
	<-done
}

// TestRoomAllowance: a sender that has waited may send something, even if the mailboxes are
// congested again by then, and waits when its allowance is spent. Broken version: awaitRoom that
// stops a sender that has just waited.
func TestRoomAllowance(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	c := r.dial("chat")
	c.send("echo first")
	c.expect("first")
	link := r.hub.newest()
	held := func() bool {
		return of(t, link, func(c *conn) bool { return c.in.holds.any() })
	}
	r.congested.Add(1)
	for range allowance + 1 {
		c.send("echo x")
	}
	eventually(t, "the client waits", held)
	on(t, link, (*conn).comeIn)
	for range allowance {
		c.expect("x")
	}
	eventually(t, "the client waits again", held)
	r.congested.Add(-1)
	c.expect("x")
}

// TestRoomIsUsed: those who are let in count until they have said what they had to say: only
// then others are let in. Broken version: they read on when the turn ends, and in the turn
// others are let in meanwhile.
func TestRoomIsUsed(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	r.congested.Add(1)
	for range letInAtOnce {
		r.dial("chat").send("pub x")
	}
	eventually(t, "all wait", func() bool { return r.queued.Load() == letInAtOnce })
	l := r.loopAt(0)
	done := make(chan struct{})
	l.post(mail{fn: func() {
		r.congested.Add(-1)
		l.letIn()
		// Behind those who have been let in.
		l.post(mail{fn: func() {
			defer close(done)
			if used, left := r.stats.MessagesIn.Load(), r.coming.Load(); used+uint64(left) != letInAtOnce {
				t.Errorf("%d have used the room that %d have, and %d count as if they had it", used, letInAtOnce, left)
			}
		}})
	}})
	<-done
}
