package sockets_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/sockets"
)

// answers makes a listener accept one client, to whom it sends a word.
func answers(t *testing.T, ln net.Listener, word string) {
	t.Helper()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = io.WriteString(c, word)
			_ = c.Close()
		}
	}()
	c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != word {
		t.Errorf("heard %q, %v, want %q", got, err, word)
	}
}

// TestUnix: a socket that an ended process left is replaced, and nothing else is.
func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	address := "unix:" + path
	first, err := sockets.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	answers(t, first, "first")
	if _, err := sockets.Listen(address); err == nil {
		t.Error("two listen at one socket")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as if the process were killed
	_ = first.Close()
	second, err := sockets.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	answers(t, second, "second")
	_ = second.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sockets.Listen(address); err == nil {
		t.Error("a file that is no socket is replaced")
	}
	if _, err := sockets.Listen("unix:" + path + "/no/such/folder"); err == nil {
		t.Error("a socket is made nowhere")
	}
}

// TestDuplicate: either listener can be closed without the other.
func TestDuplicate(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		first, err := sockets.Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		second, err := sockets.Duplicate(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		answers(t, second, "second")
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestGivenNothing: a process that was given nothing opens its sockets.
func TestGivenNothing(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "3")
	g, err := sockets.Inherit()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := g.Listen("a", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	answers(t, ln, "new")
	if unused, err := g.Ready(); len(unused) > 0 || err != nil || g.FromSystemd() {
		t.Errorf("unused %q, %v, from systemd %t", unused, err, g.FromSystemd())
	}
	if left := os.Environ(); slices.ContainsFunc(left, func(v string) bool { return strings.HasPrefix(v, "LISTEN_") }) {
		t.Error("children would be told of sockets that they are not given")
	}
}
