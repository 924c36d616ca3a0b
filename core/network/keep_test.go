package network

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
)

// The tests of this file guard against typical faults of event loops on raw descriptors.
// Each was seen to fail against a version that is broken as its comment says.

// TestRecycledDescriptor: a holder of the link of a closed connection must not write to
// the connection that got its descriptor next. Broken version: without the check of
// conn.state in carryOut, Tell and queue, and without attachment.leave in gone, the second
// client reads the first one's secret.
func TestRecycledDescriptor(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	first := r.dial("chat")
	first.send("sub")
	first.expect("ok")
	link := r.hub.newest()
	descriptor := func(c *conn) int { return c.socket.fd }
	fd := of(t, link, descriptor)
	_ = first.Close()
	if gone := <-r.hub.gone; gone != link {
		t.Fatal("another connection left")
	}
	eventually(t, "the first connection's socket is closed", func() bool { return r.stats.Open.Load() == 0 })

	for range 50 {
		second := r.dial("chat")
		second.send("echo here")
		second.expect("here")
		heir := r.hub.newest()
		if of(t, heir, descriptor) != fd {
			continue
		}
		secret := core.Event{Kind: core.Pong, Ref: []byte("SECRET-FOR-FIRST")}
		link.Send(secret)
		heir.Post(func() { link.Tell(secret); link.(*conn).queue(lent{controlFrame(ws.OpPing, nil)}) })
		second.send("echo still mine")
		second.expect("still mine")
		return
	}
	t.Skip("the descriptor did not come back in 50 connections")
}

// TestDescriptorExhaustion: without a free descriptor the open connections continue, and
// new ones are accepted when there are descriptors again. Broken version: an accept loop
// that returns on any error.
func TestDescriptorExhaustion(t *testing.T) {
	r := start(t, nil)
	old := r.dial("echo")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc to count descriptors")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestFloodChild$")
	child.Env = append(os.Environ(), "FLOOD_ADDRESS="+r.Addr("echo").String())
	stdin, _ := child.StdinPipe()
	stdout, _ := child.StdoutPipe()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = uint64(len(entries) + 30)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "dialed\n" {
		t.Fatalf("the flood said %q, %v", line, err)
	}
	eventually(t, "an accept fails", func() bool { return r.Stats().AcceptErrors.Load() > 0 })
	for range 10 {
		old.send("alive")
		old.expect("alive")
	}
	_ = stdin.Close()
	_ = child.Wait()
	eventually(t, "a new connection is accepted", func() bool {
		nc, err := net.Dial("tcp", r.Addr("echo").String())
		if err != nil {
			return false
		}
		defer func() { _ = nc.Close() }()
		_, _ = io.WriteString(nc, upgradeRequest())
		b := make([]byte, 12)
		_, err = io.ReadFull(nc, b)
		return err == nil && string(b) == "HTTP/1.1 101"
	})
}

// TestFloodChild is the flood of TestDescriptorExhaustion, in a process of its own
// so that it has descriptors of its own.
func TestFloodChild(t *testing.T) {
	address := os.Getenv("FLOOD_ADDRESS")
	if address == "" {
		t.Skip("only runs as a child of TestDescriptorExhaustion")
	}
	for range 200 {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_, _ = io.WriteString(nc, upgradeRequest())
	}
	_, _ = fmt.Fprintln(os.Stdout, "dialed")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestPartialWrite: sockets that take only a part of a write get the rest, whole
// and in order, even when the same frames go to others. Broken version: without
// output.off, or without retaining what wait keeps, the stream is garbled.
func TestPartialWrite(t *testing.T) {
	const receivers, messages = 4, 400
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 32 << 10
		ep.Settings.OutboundLimit = 1 << 30
	})
	rnd := rand.New(rand.NewPCG(5, 6))
	texts := make([]string, messages)
	for i := range texts {
		texts[i] = fmt.Sprintf("%d:%s", i, strings.Repeat(string(rune('a'+i%26)), rnd.IntN(60_000)))
	}
	done := make(chan error, receivers)
	for i := range receivers {
		c := r.dialTCP("chat")
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
		c.write([]byte(upgradeRequest()))
		c.readResponse("HTTP/1.1 101 ")
		c.send("sub")
		c.expect("ok")
		go func() {
			// Each reads in steps of its own size.
			br := bufio.NewReaderSize(c, 16+i*5000)
			for _, want := range texts {
				f, err := ws.ReadFrame(br)
				if err != nil || string(f.Payload) != want {
					done <- fmt.Errorf("receiver %d: got %.40q, want %.40q: %w", i, f.Payload, want, err)
					return
				}
			}
			done <- nil
		}()
	}
	pub := r.dial("chat")
	for _, text := range texts {
		pub.send("pub " + text)
	}
	for range receivers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestStalledReader: a client that does not read gets the endpoint's policy and
// delays nobody; its backlog stays under the bound. Broken version: a queue
// without the check of OutboundLimit.
func TestStalledReader(t *testing.T) {
	const messages, size, limit = 3000, 4 << 10, 256 << 10
	policies := map[string]SlowConsumer{"disconnect": Disconnect, "drop_oldest": DropOldest, "drop_newest": DropNewest, "conflate": Conflate}
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options, ep *Endpoint) {
				unhurried(o)
				o.SendBuffer = 64 << 10
				ep.Settings.OutboundLimit = limit
				ep.Settings.SlowConsumer = policy
			})
			stalled, link := r.sleeper()
			healthy := r.dial("chat")
			healthy.send("sub")
			healthy.expect("ok")
			pub := r.dial("chat")
			text := func(i int) string { return fmt.Sprintf("%d:%s", i, strings.Repeat("x", size)) }
			for i := range messages {
				pub.send("pub " + text(i))
				if i%10 == 9 {
					// The healthy one keeps up: it takes each before the next ten.
					for j := i - 9; j <= i; j++ {
						healthy.expect(text(j))
					}
				}
			}
			if r.stats.Dropped[core.ReasonSlow].Load() == 0 {
				t.Error("no drop was counted")
			}
			if policy == Disconnect {
				for {
					f, err := ws.ReadFrame(stalled)
					if err != nil {
						t.Fatalf("reading the rest: %v", err)
					}
					if f.Header.OpCode == ws.OpClose {
						if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1013 {
							t.Errorf("close code %d, want 1013", code)
						}
						break
					}
				}
				if got := r.stats.Closed[core.ReasonSlow].Load(); got != 1 {
					t.Errorf("%d connections closed as slow, want 1", got)
				}
				return
			}
			if n := of(t, link, (*conn).backlog); n > limit || n < limit/2 {
				t.Errorf("%d bytes are queued for the stalled client, the bound is %d", n, limit)
			}
			pub.send("pub the end")
			last, count := "", 0
			for last != "the end" {
				f, err := ws.ReadFrame(stalled)
				if err != nil {
					t.Fatalf("reading the rest: %v", err)
				}
				if last = string(f.Payload); policy == DropNewest && last != text(count) && last != "the end" {
					t.Fatalf("message %d is %.10q", count, last)
				}
				count++
				if policy == DropNewest && count == 50 {
					return // it kept the oldest; how many depends on the kernel's buffers
				}
			}
			if count >= messages {
				t.Error("nothing was dropped")
			}
		})
	}
}

// TestPipelinedFrame: a frame sent together with the upgrade request is not lost,
// wherever the packets are cut. Broken version: without upgrade.early.
func TestPipelinedFrame(t *testing.T) {
	r := start(t, nil)
	all := append([]byte(upgradeRequest()), masked(ws.OpText, true, "echo early")...)
	for range 50 {
		c := r.dialTCP("chat")
		c.write(all)
		c.readResponse("HTTP/1.1 101 ")
		c.expect("early")
	}
	for cut := 1; cut < len(all); cut += 3 {
		c := r.dialTCP("chat")
		c.write(all[:cut])
		c.write(all[cut:])
		c.readResponse("HTTP/1.1 101 ")
		c.expect("early")
		_ = c.Close()
	}
}
