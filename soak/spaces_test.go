package soak

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core/coretest"
)

// spaces are network namespaces, one for each node, and one with a bridge between them. Whatever
// runs in one of them reaches the others only as long as that is not cut. It is used by one goroutine,
// but for dial.
type spaces struct {
	hub   string
	names []string
}

// spaceName is what the names of all of them begin with; the id of the process follows, so that what
// a killed test has left over can be told from what another test uses.
const spaceName = "polywire-soak-"

// nowhere is the hardware address of nobody.
const nowhere = "02:00:00:00:01:00"

// newSpaces makes n namespaces, which go when the test ends. Where that is not allowed it skips
// the test.
func newSpaces(t *testing.T, n int) *spaces {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need the program ip (of iproute2)")
	}
	removeLeftSpaces(t)
	name := func(part string) string { return fmt.Sprintf("%s%d-%s", spaceName, os.Getpid(), part) }
	s := &spaces{hub: name("hub")}
	if out, err := exec.Command("ip", "netns", "add", s.hub).CombinedOutput(); err != nil {
		t.Skipf("network namespaces are not allowed here: %v: %s", err, out)
	}
	remove := func(space string) func() {
		return func() { ip(t, "netns", "del", space) }
	}
	t.Cleanup(remove(s.hub))
	ip(t, "-n", s.hub, "link", "add", "br0", "type", "bridge")
	ip(t, "-n", s.hub, "link", "set", "br0", "up")
	for i := range n {
		space := name(letterOf(i))
		ip(t, "netns", "add", space)
		t.Cleanup(remove(space))
		s.names = append(s.names, space)
		ip(t, "-n", s.hub, "link", "add", portOf(i), "type", "veth", "peer", "name", "eth0", "netns", space)
		ip(t, "-n", s.hub, "link", "set", portOf(i), "master", "br0", "up")
		ip(t, "-n", space, "link", "set", "eth0", "address", hardwareOf(i))
		ip(t, "-n", space, "addr", "add", addressOf(i)+"/24", "dev", "eth0")
		ip(t, "-n", space, "link", "set", "eth0", "up")
		ip(t, "-n", space, "link", "set", "lo", "up")
	}
	for i := range n {
		for j := range n {
			if i != j {
				s.mute(t, i, j, false)
			}
		}
	}
	return s
}

// removeLeftSpaces removes the namespaces of tests that have been killed.
func removeLeftSpaces(t *testing.T) {
	t.Helper()
	all, err := os.ReadDir("/run/netns")
	if err != nil {
		return // nobody has made any
	}
	for _, space := range all {
		rest, ours := strings.CutPrefix(space.Name(), spaceName)
		text, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(text)
		if ours && err == nil && (pid == os.Getpid() || syscall.Kill(pid, 0) != nil) {
			t.Logf("removing %s, which a test has left", space.Name())
			ip(t, "netns", "del", space.Name())
		}
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func portOf(i int) string     { return "port" + strconv.Itoa(i) }
func addressOf(i int) string  { return "10.77.0." + strconv.Itoa(i+1) }
func hardwareOf(i int) string { return fmt.Sprintf("02:00:00:00:00:%02x", i+1) }

// isolate takes the cable out of a node, or puts it back.
func (s *spaces) isolate(t *testing.T, i int, off bool) {
	t.Helper()
	ip(t, "-n", s.hub, "link", "set", portOf(i), map[bool]string{true: "down", false: "up"}[off])
}

// mute loses all that one node sends to another one, or does so no longer: it is sent to a hardware
// address that nobody has. Nobody notices, as with a cable, or a firewall that says nothing.
func (s *spaces) mute(t *testing.T, from, to int, off bool) {
	t.Helper()
	hardware := hardwareOf(to)
	if off {
		hardware = nowhere
	}
	ip(t, "-n", s.names[from], "neigh", "replace", addressOf(to), "lladdr", hardware, "nud", "permanent", "dev", "eth0")
}

// prefix is what a command begins with that runs at a node.
func (s *spaces) prefix(i int) []string { return []string{"ip", "netns", "exec", s.names[i]} }

// dial connects from within a node's namespace, to its own addresses too. Any goroutine.
func (s *spaces) dial(ctx context.Context, i int, network, address string) (conn net.Conn, err error) {
	s.within(i, func(inner error) {
		if err = inner; err == nil {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	return conn, err
}

// within runs f on a thread in a namespace, to which the sockets belong that it makes.
func (s *spaces) within(i int, f func(error)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // a thread that does not come back ends with the goroutine
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			f(err)
			return
		}
		defer home.Close()
		space, err := os.Open("/run/netns/" + s.names[i])
		if err != nil {
			f(err)
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			f(fmt.Errorf("entering %s: %w", s.names[i], err))
			return
		}
		f(nil)
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
}

// TestSpaces checks that each cut does what it says, and no more.
func TestSpaces(t *testing.T) {
	s := newSpaces(t, 3)
	var sockets []net.PacketConn
	for i := range 3 {
		var conn net.PacketConn
		var err error
		s.within(i, func(inner error) {
			if err = inner; err == nil {
				conn, err = net.ListenPacket("udp", addressOf(i)+":7")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		sockets = append(sockets, conn)
	}
	// reaches sends something from each to each, and returns what arrives. What a cut must let through
	// is sent until it comes; what comes then came before, or never.
	reaches := func(cut ...string) {
		t.Helper()
		for from := range 3 {
			for to := range 3 {
				if from == to {
					continue
				}
				way := letterOf(from) + letterOf(to)
				isCut := false
				for _, c := range cut {
					isCut = isCut || c == way
				}
				arrived := func() bool {
					if _, err := sockets[from].WriteTo([]byte(way), &net.UDPAddr{IP: net.ParseIP(addressOf(to)), Port: 7}); err != nil {
						return false
					}
					_ = sockets[to].SetReadDeadline(time.Now().Add(50 * time.Millisecond))
					text := make([]byte, 8)
					n, _, err := sockets[to].ReadFrom(text)
					return err == nil && string(text[:n]) == way
				}
				if !isCut {
					coretest.Eventually(t, way+" reaches", arrived)
				} else if arrived() {
					t.Errorf("%s reaches, with %v cut", way, cut)
				}
			}
		}
	}
	reaches()
	s.mute(t, 0, 1, true)
	reaches("ab")
	s.mute(t, 1, 0, true)
	reaches("ab", "ba")
	s.mute(t, 0, 1, false)
	s.mute(t, 1, 0, false)
	reaches()
	s.isolate(t, 2, true)
	reaches("ac", "ca", "bc", "cb")
	s.isolate(t, 2, false)
	reaches()
}
