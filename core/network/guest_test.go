package network

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// visitorOf is a guest that does what a test wants.
type visitorOf struct {
	received func([]byte)
	turn     func()

	seat  core.Seat // static after Seated
	ended chan error
}

func (v *visitorOf) Seated(s core.Seat) { v.seat = s }

func (v *visitorOf) Received(b []byte) {
	if v.received != nil {
		v.received(b)
	}
}

func (v *visitorOf) Turn() {
	if v.turn != nil {
		v.turn()
	}
}

func (v *visitorOf) Unseated(err error) { v.ended <- err }

// host moves one end of a connection into a loop, and returns the other one.
func (r *rig) host(network string, v *visitorOf) net.Conn {
	r.t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(r.t.TempDir(), "socket")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	near, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = far.Close() })
	_ = far.SetDeadline(coretest.Deadline())
	v.ended = make(chan error, 2)
	if err := r.Host(near, v); err != nil {
		r.t.Fatal(err)
	}
	return far
}

// A guest gets what the other side writes, and the other side what the guest writes, also when the socket is
// full; then it is told that the other side is gone.
func TestGuest(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			r := start(t, nil)
			const size = 32 << 20 // more than two sockets take
			var got []byte        // owned by the loop
			left, full := size, make(chan struct{})
			var once sync.Once
			v := new(visitorOf)
			v.received = func(b []byte) {
				if got = append(got, b...); len(got) == len("begin") {
					v.seat.Ask()
				}
			}
			v.turn = func() {
				for left > 0 {
					n, err := v.seat.Write(make([]byte, min(left, 64<<10)))
					if err != nil {
						t.Error(err)
						return
					}
					if left -= n; n < 64<<10 && left > 0 {
						once.Do(func() { close(full) })
						time.AfterFunc(time.Millisecond, v.seat.Ask)
						return
					}
				}
			}
			far := r.host(network, v)
			for _, piece := range []string{"beg", "in"} {
				if _, err := far.Write([]byte(piece)); err != nil {
					t.Fatal(err)
				}
			}
			coretest.Receive(t, "its socket is full", full)
			if _, err := io.ReadFull(far, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			_ = far.Close()
			if err := coretest.Receive(t, "the end", v.ended); !errors.Is(err, io.EOF) {
				t.Errorf("it ended with %v", err)
			}
			if string(got) != "begin" {
				t.Errorf("it received %q", got)
			}
			if n, err := v.seat.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("then it writes %d bytes, and %v", n, err)
			}
			v.seat.Ask()
		})
	}
}

// However turns are asked for, one comes after the last call, also while the loop is busy.
func TestGuestTurns(t *testing.T) {
	r := start(t, nil)
	var wanted, seen atomic.Int64
	v := &visitorOf{turn: func() { seen.Store(wanted.Load()) }}
	far := r.host("tcp", v)
	end := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				_, _ = far.Write([]byte("x"))
			}
		}
	})
	for range 20_000 {
		n := wanted.Add(1)
		v.seat.Ask()
		if n%100 == 0 {
			eventually(t, "its turn", func() bool { return seen.Load() == n })
		}
	}
	close(end)
	busy.Wait()
}

// A guest that asks while a turn ends, when guests have had theirs, has one soon, and not at the next tick.
func TestGuestAsksLate(t *testing.T) {
	l := &loop{soon: make(chan struct{}, 1)}
	g := &guest{loop: l}
	l.guests = append(l.guests, g)
	l.turning.Store(true)
	l.stopTurning()
	if len(l.soon) > 0 {
		t.Error("a turn comes that nobody has asked for")
	}
	l.turning.Store(true)
	g.Ask()
	l.stopTurning()
	if len(l.soon) == 0 {
		t.Error("no turn comes")
	}
}

// Nothing is read for a guest that has paused; then everything comes, in order. It may pause again before it is
// back.
func TestGuestPauses(t *testing.T) {
	r := start(t, nil)
	sent := bytes.Repeat([]byte("0123456789"), 32<<20/10)
	var got []byte  // owned by the loop
	var paused bool // owned by the loop
	var turns int   // owned by the loop
	first, all := make(chan struct{}), make(chan struct{})
	v := new(visitorOf)
	v.received = func(b []byte) {
		if paused {
			t.Error("something is received while the guest pauses")
		}
		if got = append(got, b...); turns == 0 {
			v.seat.Pause()
			v.seat.Pause()
			paused = true
			close(first)
		}
		if len(got) == len(sent) {
			close(all)
		}
	}
	v.turn = func() {
		v.seat.Resume()
		if turns++; turns == 1 {
			v.seat.Pause()
			time.AfterFunc(50*time.Millisecond, v.seat.Ask) // usually it is back then
			return
		}
		paused = false
	}
	far := r.host("tcp", v)
	written, err := far.Write(sent[:1])
	if err != nil {
		t.Fatal(err)
	}
	coretest.Receive(t, "the first byte", first)
	_ = far.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := far.Write(sent[1:])
	if err == nil {
		t.Fatal("everything is read for a guest that pauses")
	}
	written += n
	_ = far.SetDeadline(coretest.Deadline())
	v.seat.Ask()
	if _, err := far.Write(sent[written:]); err != nil {
		t.Fatal(err)
	}
	coretest.Receive(t, "everything", all)
	if !bytes.Equal(got, sent) {
		t.Error("what came is not what was sent")
	}
}

// A guest that panics loses its connection, and the loop goes on.
func TestGuestPanics(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops, o.Logger = 1, nil })
	v := &visitorOf{received: func([]byte) { panic("a fault") }}
	far := r.host("tcp", v)
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := coretest.Receive(t, "the end", v.ended); err == nil {
		t.Error("it ended without an error")
	}
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
	if got := r.Stats().Panics.Load(); got != 1 {
		t.Errorf("%d panics are counted", got)
	}
	c := r.dial("chat")
	c.send("echo here")
	c.expect("here")
}

// Guests leave after the clients, and before the loops end: then those that are left end, also one that pauses,
// and there is no other.
func TestGuestsLeaveLast(t *testing.T) {
	farewell := make(chan int, 1)
	var r *rig
	var polite *visitorOf
	r = start(t, func(o *Options, _ *Endpoint) {
		o.Farewell = func() {
			farewell <- r.Connections()
			polite.seat.Ask()
			polite.ended <- <-polite.ended
		}
	})
	polite = new(visitorOf)
	polite.turn = func() { polite.seat.Close() }
	r.host("tcp", polite)
	rude := new(visitorOf)
	r.host("tcp", rude)
	pausing := new(visitorOf)
	pausing.received = func([]byte) { pausing.seat.Pause(); pausing.seat.Ask() }
	parked := make(chan struct{})
	pausing.turn = func() { close(parked) }
	if _, err := r.host("tcp", pausing).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	coretest.Receive(t, "one pauses", parked)
	client := r.dial("chat")
	client.send("echo here")
	client.expect("here")
	go func() {
		_, _ = client.Read(make([]byte, 100)) // the goodbye
		_ = client.Close()
	}()
	if err := r.Shutdown(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if n := coretest.Receive(t, "the farewell", farewell); n != 0 {
		t.Errorf("%d clients are left at the farewell", n)
	}
	if err := coretest.Receive(t, "the end of who closes", polite.ended); err != nil {
		t.Errorf("who closes ended with %v", err)
	}
	for _, v := range []*visitorOf{rude, pausing} {
		if err := coretest.Receive(t, "the end of who stays", v.ended); !errors.Is(err, errNoGuests) {
			t.Errorf("who stays ended with %v", err)
		}
	}
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	if err := r.Host(near, new(visitorOf)); !errors.Is(err, errNoGuests) {
		t.Errorf("the next one: %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("its connection is not closed: %v", err)
	}
}
