package network

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// The tests of this file are attacks of hostile clients, and a storm of friendly ones.

// TestSlowloris: clients that send their request byte by byte hold a place for the
// time that a handshake may take, and no longer, however busy they are. Others still get in.
func TestSlowloris(t *testing.T) {
	const slow = 20
	r := start(t, func(o *Options, _ *Endpoint) {
		o.HandshakeTimeout = 500 * time.Millisecond
		o.MaxHandshakes = slow + 1
	})
	var done sync.WaitGroup
	for range slow {
		c := r.dialTCP("chat")
		done.Go(func() {
			request := upgradeRequest("X: " + strings.Repeat("x", 4000) + "\r\n")
			for i := range len(request) {
				if _, err := io.WriteString(c, request[i:i+1]); err != nil {
					return
				}
				time.Sleep(time.Millisecond) // the pace is what is tested
			}
			t.Error("a request that took seconds was read to its end")
		})
	}
	for range 10 {
		eventually(t, "a client is let in", func() bool {
			answer, err := visit(r.Addr("echo").String(), "alive")
			return err == nil && strings.HasPrefix(answer, "HTTP/1.1 101 ")
		})
	}
	done.Wait()
	eventually(t, "their places are free", func() bool { return r.admission.handshakes.Load() == 0 })
	// On a busy machine so are other clients.
	if got := r.Stats().Rejected[core.ReasonTimeout].Load(); got < slow {
		t.Errorf("%d are counted as too slow, want %d", got, slow)
	}
}

// TestHalfOpen: connections that send nothing get an answer when their time is up.
func TestHalfOpen(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.HandshakeTimeout = 300 * time.Millisecond })
	var all []*client
	for range 20 {
		all = append(all, r.dialTCP("chat"))
	}
	for _, c := range all {
		c.readResponse("HTTP/1.1 408 ")
	}
	eventually(t, "all places are free", func() bool { return r.admission.handshakes.Load() == 0 })
}

// TestHalfOpenFlood: connections over the bound that send nothing are turned away at once.
// Connected clients do not notice.
func TestHalfOpenFlood(t *testing.T) {
	const places, flood = 50, 200
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = places })
	old := r.dial("echo")
	eventually(t, "its handshake is over", func() bool { return r.admission.handshakes.Load() == 0 })
	var all []*client
	for range flood {
		all = append(all, r.dialTCP("chat"))
	}
	eventually(t, "the flood is at its height", func() bool {
		return r.admission.handshakes.Load() == places && r.Stats().Rejected[core.ReasonOverload].Load() == flood-places
	})
	old.send("alive")
	old.expect("alive")
	for i, c := range all {
		if i >= places { // they are accepted in the order in which they come
			c.readResponse("HTTP/1.1 503 ")
		}
		_ = c.Close()
	}
	eventually(t, "all places are free", func() bool { return r.admission.handshakes.Load() == 0 })
	r.dial("echo")
}

// TestOversizedCloseReason: a close frame is a control frame, and may not be longer
// than one.
func TestOversizedCloseReason(t *testing.T) {
	r := start(t, nil)
	for n, code := range map[int]ws.StatusCode{123: 1000, 124: 1002, 70_000: 1002} {
		c := r.dial("chat")
		c.write(masked(ws.OpClose, true, "\x03\xe8"+strings.Repeat("x", n)))
		c.expectClose(code)
	}
}

// TestEndlessFragments: a message that never ends is bounded by its size, and by the
// rate of its bytes if its fragments are empty.
func TestEndlessFragments(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.MaxMessage = 1 << 10
		ep.Limits = core.NewLiveLimits(core.Limits{Bytes: core.Rate{Amount: 8 << 10, Per: time.Second}})
	})
	c := r.dial("chat")
	c.write(masked(ws.OpText, false, "echo "))
	for range 100 {
		c.write(masked(ws.OpContinuation, false, strings.Repeat("x", 100)))
	}
	c.expectClose(1009)

	empty := r.dial("chat")
	empty.write(masked(ws.OpText, false, "echo "))
	go func() {
		frames := strings.Repeat(string(masked(ws.OpContinuation, false, "")), 20_000)
		_, _ = io.WriteString(empty, frames)
	}()
	eventually(t, "empty fragments are throttled", func() bool { return r.stats.Throttled.Load() > 0 })
}

// descriptors returns how many there are.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc to count descriptors")
	}
	return len(entries)
}

// TestReconnectStorm: 2,000 clients connect at once, more than the rate allows. Those
// that are let in work, the others are told when to try again, and nothing is left
// over when all are gone.
func TestReconnectStorm(t *testing.T) {
	const clients, burst = 2000, 300
	r := start(t, func(o *Options, _ *Endpoint) {
		o.Loops = 1
		o.HandshakeRate = core.Rate{Amount: burst, Per: time.Minute}
	})
	// The loop and its helper are there after the first connection.
	_ = r.dial("echo").Close()
	eventually(t, "all is quiet", func() bool { return r.open.Load() == 0 })
	ended, files := coretest.Leftovers(t), descriptors(t)

	var in, refused, lost int
	var mu sync.Mutex
	var storm sync.WaitGroup
	for i := range clients {
		storm.Go(func() {
			answer, err := visit(r.Addr("echo").String(), fmt.Sprint("client ", i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				lost++
				t.Errorf("client %d: %v", i, err)
			case strings.HasPrefix(answer, "HTTP/1.1 101 "):
				in++
			case strings.HasPrefix(answer, "HTTP/1.1 503 ") && strings.Contains(answer, "\r\nRetry-After: 1\r\n"):
				refused++
			default:
				t.Errorf("client %d was answered %q", i, answer)
			}
		})
	}
	storm.Wait()
	if in < burst-1 || in+refused+lost != clients {
		t.Errorf("%d are in, %d refused, %d lost", in, refused, lost)
	}
	if got := int(r.Stats().Rejected[core.ReasonRate].Load()); got != refused+lost {
		t.Errorf("%d refusals are counted, want %d", got, refused+lost)
	}
	eventually(t, "nothing is left over", func() bool {
		return descriptors(t) <= files && r.open.Load() == 0 && r.admission.handshakes.Load() == 0 && r.aside.Load() == 0
	})
	ended()
}

// TestTurnedAwayAtOnce: even when very many clients are being turned away, the next are told
// why.
func TestTurnedAwayAtOnce(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.HandshakeRate = core.Rate{Amount: 1, Per: time.Hour} })
	r.dial("echo")
	r.aside.Add(maxAside)
	defer r.aside.Add(-maxAside)
	for range 10 {
		r.dialTCP("echo").readResponse("HTTP/1.1 503 ")
	}
	if n := r.aside.Load(); n != maxAside {
		t.Errorf("%d are turned away at leisure", n)
	}
}

// visit connects, has text echoed if it is let in, and leaves. It returns the answer
// to its request.
func visit(address, text string) (string, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(coretest.Deadline())
	if _, err := io.WriteString(nc, upgradeRequest()); err != nil {
		return "", err
	}
	var head strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); head.Write(b) {
		if _, err := nc.Read(b); err != nil {
			return "", fmt.Errorf("reading the answer behind %q: %w", head.String(), err)
		}
	}
	if !strings.HasPrefix(head.String(), "HTTP/1.1 101 ") {
		return head.String(), nil
	}
	if _, err := nc.Write(masked(ws.OpText, true, text)); err != nil {
		return "", err
	}
	f, err := ws.ReadFrame(nc)
	if err == nil && string(f.Payload) != text {
		err = fmt.Errorf("got %q", f.Payload)
	}
	return head.String(), err
}
