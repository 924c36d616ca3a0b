package network

import (
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
)

// A publish is one mail for each loop, and one message for each connection, however many of
// its audiences the connection is in: a publish causes the work only once.
func TestManyAudiencesAreOneMail(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 2 })
	var clients []*client
	var links []core.Link
	for range 6 {
		clients = append(clients, r.subscriber())
		links = append(links, r.hub.newest())
	}
	var to []core.Audience
	for _, loop := range []int{0, 1} {
		for i := range 500 {
			a := links[0].Outlet().NewAudience(loop, 0)
			for n, l := range links {
				if l.Loop() == loop && (n+i)%3 > 0 {
					on(t, l, func(c *conn) { a.Add(c, new(core.Member)) })
				}
			}
			to = append(to, a)
		}
	}
	loops := r.loopList()
	const messages = 20
	for i := range messages {
		var before [2]uint64
		for j, l := range loops {
			before[j] = l.mailbox.position()
		}
		text := fmt.Appendf(nil, "m%d", i)
		links[0].Outlet().Deliver(core.Event{Kind: core.Message, Payload: core.Payload{Kind: core.Text, Data: text}}, to, links[5])
		for j, l := range loops {
			if n := l.mailbox.position() - before[j]; n != 1 {
				t.Fatalf("loop %d has %d mails of one publish", j, n)
			}
		}
	}
	links[5].Send(core.Event{Kind: core.Pong, Ref: []byte("nothing")})
	for n, c := range clients[:5] {
		for i := range messages {
			if got := string(c.read().Payload); got != fmt.Sprintf("m%d", i) {
				t.Fatalf("client %d: message %d is %q", n, i, got)
			}
		}
		links[n].Send(core.Event{Kind: core.Pong, Ref: []byte("nothing")})
	}
	for n, c := range clients {
		if got := string(c.read().Payload); got != "nothing" {
			t.Errorf("client %d: %q more", n, got)
		}
	}
}
