package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pipe returns a wire with room for size bytes, and its other end.
func pipe(t *testing.T, size int) (w *wire, peer int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	w = &wire{fd: pair[0], in: make([]byte, 0, size)}
	t.Cleanup(func() {
		w.close()
		_ = unix.Close(pair[1])
	})
	return w, pair[1]
}

// TestWire cuts a stream of messages at every byte.
func TestWire(t *testing.T) {
	var d dialect
	long := strings.Repeat("x", 200)
	var stream []byte
	for _, message := range []string{"a", long, "", "b"} {
		stream = append(stream, d.serverFrame(message)...)
	}
	const ping = "\x89\x01p"
	stream = append(stream, ping...)
	stream = append(stream, d.serverFrame("c")...)
	for cut := range stream {
		w, peer := pipe(t, 512)
		var got []string
		for _, part := range [][]byte{stream[:cut], stream[cut:]} {
			if err := writeAll(peer, part); err != nil {
				t.Fatal(err)
			}
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
			for {
				message, err := w.next()
				if err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if message == nil {
					break
				}
				got = append(got, string(message))
			}
		}
		if want := "a|" + long + "||b|c"; strings.Join(got, "|") != want {
			t.Errorf("cut at %d: got %q", cut, got)
		}
	}
}

func TestWireErrors(t *testing.T) {
	tests := []struct{ name, sent, want string }{
		{"a close frame", "\x88\x02\x03\xf1", "the server closed the connection"},
		{"a masked frame", "\x81\x81\x00\x00\x00\x00a", "a frame with the header"},
		{"a huge frame", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", "a frame with the header"},
		{"more than there is room for", "\x81\x7d" + strings.Repeat("x", 125), "a message of more than 64 bytes"},
		{"the end", "", "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, peer := pipe(t, 64)
			if err := writeAll(peer, []byte(test.sent)); err != nil {
				t.Fatal(err)
			}
			if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			if message, err := w.await(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v, want an error with %q", message, err, test.want)
			}
		})
	}
}
