package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// notified listens as systemd does. next checks that the next notification contains parts.
func notified(t *testing.T) (socket string, next func(parts ...string) string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return socket, func(parts ...string) string {
		t.Helper()
		b := make([]byte, 4096)
		if err := ln.SetReadDeadline(time.Now().Add(long)); err != nil {
			t.Fatal(err)
		}
		n, err := ln.Read(b)
		if err != nil {
			t.Fatalf("waiting for %q: %v", parts, err)
		}
		for _, part := range parts {
			if !strings.Contains("\n"+string(b[:n])+"\n", part) {
				t.Fatalf("systemd is told %q, want %q", b[:n], parts)
			}
		}
		return string(b[:n])
	}
}

// listening returns a listener, and its descriptor for another process.
func listening(t *testing.T, network, address string) (net.Listener, *os.File) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return ln, f
}

// TestSystemd: the program takes the sockets that it was passed, notifies systemd, hands over to
// another process, and on SIGTERM leaves new clients to the next process.
func TestSystemd(t *testing.T) {
	notify, next := notified(t)
	dir := t.TempDir()
	one, first := listening(t, "tcp", "127.0.0.1:0")
	two, second := listening(t, "unix", filepath.Join(dir, "s"))
	three, third := listening(t, "tcp", "127.0.0.1:0")
	two.(*net.UnixListener).SetUnlinkOnClose(false)
	file := write(t, fmt.Sprintf(`
endpoints:
  - {name: echo, protocol: echo, listen: %q}
  - {name: near, protocol: echo, listen: "unix:%s"}
admin: {listen: "unix:%s"}
drain: {timeout: 7s}
`, one.Addr(), two.Addr(), filepath.Join(dir, "admin")))
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	// Only the process itself knows its pid: so a shell becomes it, as systemd's child does.
	shell := []string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, path, "serve", "--watch=false", "-c", file}
	p := begin(t, []string{"NOTIFY_SOCKET=" + notify, "LISTEN_FDS=3", "LISTEN_FDNAMES=::"}, []*os.File{first, second, third}, "/bin/sh", shell...)
	p.urls(t, 2)
	pid := p.cmd.Process.Pid
	next("\nREADY=1\n", fmt.Sprintf("\nMAINPID=%d\n", pid))
	await(t, "what is not used is told", func() bool { return p.log.count("address="+three.Addr().String()) == 1 })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	url := "ws://" + one.Addr().String() + "/"
	must(converseOnce(ws.Dialer{}, url)(t.Context()))
	must(syscall.Kill(pid, syscall.SIGHUP))
	next("\nRELOADING=1\n", "\nMONOTONIC_USEC=")
	next("\nREADY=1\n")
	must(syscall.Kill(pid, syscall.SIGUSR2))
	next("\nRELOADING=1\n")
	_, main, _ := strings.Cut(next("\nREADY=1\n"), "MAINPID=")
	main, _, _ = strings.Cut(main, "\n")
	if pid, err = strconv.Atoi(main); err != nil || pid == p.cmd.Process.Pid {
		t.Fatalf("the main process is %s", main)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	must(p.cmd.Wait())
	must(converseOnce(ws.Dialer{}, url)(t.Context()))
	// Every kind of reload is notified, and its changes apply.
	text, err := os.ReadFile(file)
	must(err)
	must(os.WriteFile(file, bytes.Replace(text, []byte("timeout: 7s"), []byte("timeout: 9s"), 1), 0o600))
	for _, dry := range []string{"--dry-run", ""} {
		out, err := exec.Command(path, strings.Fields("reload -c "+file+" "+dry)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	next("\nRELOADING=1\n", "\nMONOTONIC_USEC=")
	next("\nREADY=1\n")
	must(syscall.Kill(pid, syscall.SIGTERM))
	next("\nSTOPPING=1\n", "\nEXTEND_TIMEOUT_USEC=19000000\n")
	await(t, "the process ends", func() bool { return !running(pid) })
	// A client that connects now waits for the next process.
	came := make(chan error, 1)
	go func() { came <- converseOnce(ws.Dialer{}, url)(t.Context()) }()
	again := begin(t, []string{"LISTEN_FDS=2"}, []*os.File{first, second}, "/bin/sh", shell...)
	again.urls(t, 2)
	must(<-came)
	must(again.cmd.Process.Signal(syscall.SIGTERM))
	must(again.cmd.Wait())
	if _, err := os.Lstat(two.Addr().String()); err != nil {
		t.Errorf("the socket of systemd is removed: %v", err)
	}
}

// TestWrongSocket: a socket for another address is reported.
func TestWrongSocket(t *testing.T) {
	ln, f := listening(t, "tcp", ":0")
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	file := write(t, "endpoints: [{name: echo, protocol: echo, listen: '127.0.0.1:"+port+"'}]\nadmin: {listen: ''}\n")
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, path, "serve", "-c", file)
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "LISTEN_FDS=1"), []*os.File{f}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "address already in use (given, but for other addresses: "+ln.Addr().String()+")") {
		t.Errorf("%v: %s", err, out)
	}
}
