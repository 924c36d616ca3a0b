package network

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
)

// refusing is the environment variable that tells TestRefusingPoller that it is the child.
const refusing = "POLYWIRE_TEST_REFUSING_POLLER"

// TestRefusingPoller: a connection that the kernel does not let into a loop's epoll takes no
// place, whether it comes in or comes back. The kernel is made to refuse with ENOSPC, which it
// does when a user watches too many descriptors. That cannot be taken back, so it is done in a
// process of its own. Broken versions: upgrade that takes an enrolled connection for an
// opened one; comeback.await that checks only the result.
func TestRefusingPoller(t *testing.T) {
	if os.Getenv(refusing) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestRefusingPoller$", "-test.v")
		child.Env = append(os.Environ(), refusing+"=1")
		out, err := child.CombinedOutput()
		switch {
		case err != nil:
			t.Fatalf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skip("this kernel does not let a process filter its system calls")
		}
		return
	}
	// Go's own poller is not one of those.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	before := pollers(t)
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxConnections = 3 })
	in, held := r.dial("chat"), r.dial("chat")
	in.send("echo here")
	in.expect("here")
	held.send("hold")
	link := (<-r.hub.held).(*conn)
	go func() {
		_, _ = held.Write([]byte(strings.Repeat(string(masked(ws.OpText, true, "echo x")), 100_000)))
	}()
	eventually(t, "a connection is parked", func() bool { return of(t, link, func(c *conn) bool { return c.socket.where == parked }) })

	refuseToPoll(t, slices.DeleteFunc(pollers(t), func(fd int) bool { return slices.Contains(before, fd) }))
	for n := range 3 {
		c := r.dialTCP("chat")
		c.write([]byte(upgradeRequest()))
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes", n)
		}
		eventually(t, "its place is free", func() bool { return r.open.Load() == 2 })
		if got := r.stats.Rejected[core.ReasonOverload].Load(); got != uint64(n+1) {
			t.Errorf("%d connections are refused as overload, want %d", got, n+1)
		}
	}
	link.Post(link.Release)
	eventually(t, "the parked connection's place is free", func() bool { return r.open.Load() == 1 })
	if got := r.stats.Closed[core.ReasonOverload].Load(); got != 1 {
		t.Errorf("%d connections ended as overload, want 1", got)
	}
	in.send("echo still here")
	in.expect("still here")
}

// pollers returns the process's descriptors of epoll.
func pollers(t *testing.T) (fds []int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var fd int
		if kind, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(kind, "[eventpoll]") {
			if _, err := fmt.Sscan(e.Name(), &fd); err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
		}
	}
	return fds
}

// refuseToPoll makes the kernel refuse all further descriptors of these epolls, for good.
func refuseToPoll(t *testing.T, epolls []int) {
	const number, arguments = 0, 16 // where in seccomp_data; an argument has 8 bytes
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	ret := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	// unless skips n instructions if what is loaded is another value.
	unless := func(value, n int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(value), Jf: uint8(n)}
	}
	var program []unix.SockFilter
	for _, epoll := range epolls {
		program = append(program,
			load(number), unless(unix.SYS_EPOLL_CTL, 5),
			load(arguments), unless(epoll, 3),
			load(arguments+8), unless(unix.EPOLL_CTL_ADD, 1),
			ret(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSPC)))
	}
	program = append(program, ret(unix.SECCOMP_RET_ALLOW))
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		t.Skip(errno)
	}
}
