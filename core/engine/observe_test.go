package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// diary is an observer that writes down what it sees.
type diary struct {
	but core.Moment // not wanted

	mu    sync.Mutex
	lines []string
}

func (d *diary) Wants(m core.Moment) bool { return m != d.but }

func (d *diary) Observe(o *core.Observation) {
	line := fmt.Sprintf("%s %d", o.Moment, o.Connection)
	if o.Endpoint != nil {
		line = o.Endpoint.Name + "|" + line
	}
	if o.At.IsZero() || o.Connection != 0 && o.Remote != "192.0.2.1:9" {
		line += " at no time, or nowhere"
	}
	for _, word := range []string{o.Topic, o.Channel, strings.Join(o.Services, ","), o.Text} {
		if word != "" {
			line += " " + word
		}
	}
	if o.Verb != core.None {
		line += " " + o.Verb.String()
	}
	if o.Reason != core.ReasonNormal {
		line += " " + o.Reason.String()
	}
	if o.Session != "" {
		line += " session"
	}
	if o.Restored {
		line += " restored"
	}
	if o.More > 0 {
		line += fmt.Sprintf(" +%d", o.More)
	}
	if o.LeftOut > 0 {
		line += fmt.Sprintf(" after %d", o.LeftOut)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// read returns what was seen since the last time, without the endpoint.
func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.ReplaceAll(strings.Join(d.lines, "; "), "edge|", "")
	d.lines = nil
	return text
}

// What clients do is observed as they write it, and only what has changed something.
func TestObserve(t *testing.T) {
	w := newWorld(t, 1)
	d := &diary{but: core.NumMoments}
	s := w.site(core.Endpoint{Name: "edge", TopicPrefix: "in/", Sessions: sessions.NewMemory(), MaxSessionConnections: 2})
	s.connect(0).gone(false) // nobody observes yet
	w.engine.Observe(d)
	x := s.connect(0)
	sees := func(what, want string) {
		t.Helper()
		wants(t, what, d.read(), want)
	}
	sees("connecting", "connected 2")
	x.do(sub("a"), sub("a"), subPattern("b/#"))
	sees("subscribing", "subscribed 2 a; subscribed 2 b/#")
	x.do(core.Command{Verb: core.Unsubscribe, Topic: b("a")}, core.Command{Verb: core.Unsubscribe, Topic: b("a")},
		core.Command{Verb: core.Unsubscribe, Topic: b("b/#"), Pattern: true}, core.Command{Verb: core.UnsubscribeAll})
	sees("unsubscribing", "unsubscribed 2 a; unsubscribed 2 b/#")
	x.do(sub("a"), sub("$serve/s"), core.Command{Verb: core.UnsubscribeAll})
	sees("unsubscribing all", "subscribed 2 a; offered 2 s; unsubscribed 2; withdrawn 2 s")
	x.do(own("c", "c/m", "c/n"), share("s", "r"), core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")},
		core.Command{Verb: core.Withdraw, Services: [][]byte{b("s"), b("no")}}, core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")})
	sees("offering", "offered 2 c m,n; offered 2 r,s; withdrawn 2 c m,n; withdrawn 2 s")
	var many []string
	for i := range maxNames + 5 {
		many = append(many, fmt.Sprintf("%03d", i))
	}
	x.do(share(many...))
	sees("offering many", "offered 2 "+strings.Join(many[:maxNames], ",")+" +5")

	key := x.open()
	sees("a session", "session_opened 2 session")
	y := s.connect(0)
	y.elsewhere(restore(key))
	sees("restoring it", "connected 3; session_opened 3 session restored")
	y.elsewhere(closeSession)
	sees("leaving it", "")
	x.elsewhere(closeSession)
	sees("closing it", "session_closed 2 session")
	key = x.open()
	if err := w.engine.CloseSession(context.Background(), key, s.Sessions); err != nil {
		t.Error(err)
	}
	wants(t, "closed by the program", d.read(), "session_opened 2 session; session_closed 0 session")

	x.do(pub("$serve/x", "1"), pub("$serve/x", "1"), pub("$serve/x", "1"), core.Command{Verb: core.Call, Topic: b("no"), Ref: b("r")})
	sees("refusals", "refused 2 $serve/x the address belongs to the broker publish reserved; refused 2 no nobody answers the service call no_service")
	w.pass(faultPause)
	x.do(pub("$serve/x", "1"))
	sees("a refusal later", "refused 2 $serve/x the address belongs to the broker publish reserved after 2")

	d.but = core.MomentSubscribed
	x.do(sub("z"))
	sees("what nobody wants", "")
	x.peer.Gone(core.ReasonSlow)
	sees("leaving", "disconnected 2 slow")
	w.engine.Observe(nil)
	y.gone(false)
	sees("no observer", "")
}

// What a client loses in a cluster is withdrawn, with the reason.
func TestObserveLost(t *testing.T) {
	w, x, y := pair(t)
	d := &diary{but: core.NumMoments}
	x.site.w.engine.Observe(d)
	x.message(own("c", "c/m"))
	x.settled()
	x.do(share("d/s"))
	w.lose("in/c")
	x.said()
	y.message(own("d"))
	y.settled()
	w.pump()
	want := "|offered 1 c m; |offered 1 d/s; |withdrawn 1 c m " + failureLeaseLost.Text + " unavailable; |withdrawn 1 d/s " + refusedTaken.Text + " taken"
	wants(t, "what x has lost", d.read(), want)
	w.end(t, x, y)
}
