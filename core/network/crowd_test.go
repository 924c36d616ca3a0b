package network

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestCrowdSpeaks: 3,000 subscribers of one loop, which also send something now and then, each
// get all messages in order, and an answer to everything they sent. Broken version: postpone
// that leaves later frames in no list (the loop never writes them, or writes another client's
// bytes).
func TestCrowdSpeaks(t *testing.T) {
	const receivers, messages, words = 3000, 60, 6
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Settings.OutboundLimit = 1 << 30
	})
	all := make([]*client, receivers)
	for i := range all {
		all[i] = r.subscriber()
		_ = all[i].SetDeadline(time.Now().Add(5 * time.Minute))
	}
	fill := strings.Repeat("x", 200)
	var heard, said sync.WaitGroup
	for i, c := range all {
		said.Go(func() {
			for word := range words {
				_, _ = c.Write(masked(ws.OpText, true, fmt.Sprintf("echo answer %d of %d", word, i)))
				_, _ = c.Write(masked(ws.OpPing, true, fmt.Sprintf("ping %d of %d", word, i)))
			}
		})
		heard.Go(func() {
			message, answer, pong := 0, 0, 0
			for message < messages || answer < words || pong < words {
				f, err := ws.ReadFrame(c)
				if err != nil {
					t.Errorf("client %d after %d messages, %d answers, %d pongs: %v", i, message, answer, pong, err)
					return
				}
				var want string
				switch text := string(f.Payload); {
				case f.Header.OpCode == ws.OpPong:
					want = fmt.Sprintf("ping %d of %d", pong, i)
					pong++
				case strings.HasPrefix(text, "answer "):
					want = fmt.Sprintf("answer %d of %d", answer, i)
					answer++
				default:
					want = fmt.Sprintf("%d:%s", message, fill)
					message++
				}
				if string(f.Payload) != want {
					t.Errorf("client %d got %.40q, want %.40q", i, f.Payload, want)
					return
				}
			}
		})
	}
	for i := range messages {
		r.hub.publish(fmt.Appendf(nil, "%d:%s", i, fill), nil)
	}
	said.Wait()
	heard.Wait()
}
