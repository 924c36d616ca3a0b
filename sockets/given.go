package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// handover names the environment variable that tells a process on which descriptor the
// previous process waits for word that it is ready.
const handover = "POLYWIRE_HANDOVER"

// ofSystemd follows the descriptor if the first process got its sockets from systemd.
const ofSystemd = "+systemd"

// Given are the sockets that a process was given when it was started. Its methods may be
// called from any goroutine.
type Given struct {
	// Static after construction.
	systemd bool // systemd keeps what is in files

	// Guarded by mu.
	mu     sync.Mutex
	before *os.File            // takes the word for the previous process; nil if there is none
	files  []*os.File          // not taken yet
	taken  bool                // some were
	own    []*net.UnixListener // taken, and not systemd's
}

// Inherit takes what this process was given, and removes the environment variables that tell
// of it. It is called once, early: what was given are open descriptors.
func Inherit() (*Given, error) {
	g := new(Given)
	if value, ok := os.LookupEnv(handover); ok {
		_ = os.Unsetenv(handover)
		fd, systemd := strings.CutSuffix(value, ofSystemd)
		n, err := strconv.Atoi(fd)
		if err != nil {
			return nil, fmt.Errorf("taking the sockets of the process before: %s is %q", handover, value)
		}
		g.systemd = systemd
		unix.CloseOnExec(n)
		g.before = os.NewFile(uintptr(n), "the process before")
		// The previous process could not know the number of this one.
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	g.files = activation.Files(true)
	g.systemd = g.systemd || len(g.files) > 0 && g.before == nil
	return g, nil
}

// FromSystemd reports whether sockets were taken that systemd keeps: clients that connect
// while nobody accepts them wait for the next process.
func (g *Given) FromSystemd() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.systemd && g.taken
}

// Listen returns the socket that was given for an address, or else listens there. name tells
// sockets at port 0 apart, which get another port each time.
func (g *Given) Listen(name, address string) (net.Listener, error) {
	ln, err := g.take(name, address)
	if ln == nil && err == nil {
		ln, err = Listen(address)
	}
	if err != nil {
		if rest := g.addresses(); len(rest) > 0 {
			err = fmt.Errorf("%w (given, but for other addresses: %s)", err, strings.Join(rest, ", "))
		}
		return nil, err
	}
	return ln, nil
}

// take returns the socket that was given for an address; nil if there is none.
func (g *Given) take(name, address string) (net.Listener, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, f := range g.files {
		ln, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d, which this process was given, is no listening stream socket: %w", f.Fd(), err)
		}
		if !is(ln.Addr(), f.Name(), name, address) {
			_ = ln.Close()
			continue
		}
		_ = f.Close()
		g.files, g.taken = slices.Delete(g.files, i, i+1), true
		if u, ok := ln.(*net.UnixListener); ok && !g.systemd {
			g.own = append(g.own, u)
		}
		return ln, nil
	}
	return nil, nil
}

// is reports whether a socket is the one of an address.
func is(socket net.Addr, socketName, name, address string) bool {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return socket.Network() == "unix" && socket.String() == path
	}
	tcp, ok := socket.(*net.TCPAddr)
	if !ok {
		return false
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return false
	case port == "0":
		return socketName == name
	case port != strconv.Itoa(tcp.Port):
		return false
	}
	has := tcp.AddrPort().Addr().Unmap()
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		return has.IsUnspecified()
	} else if err == nil {
		return a.Unmap() == has
	}
	ips, err := net.LookupIP(host)
	return err == nil && slices.ContainsFunc(ips, tcp.IP.Equal)
}

// addresses returns those of the sockets that were given and not taken.
func (g *Given) addresses() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for _, f := range g.files {
		if ln, err := net.FileListener(f); err == nil {
			list = append(list, ln.Addr().String())
			_ = ln.Close()
		}
	}
	return list
}

// Ready is called when this process serves: the previous one may end. Sockets that were
// given and not taken are closed; their addresses are returned.
func (g *Given) Ready() (unused []string, err error) {
	unused = g.addresses()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.files {
		_ = f.Close()
	}
	g.files = nil
	for _, u := range g.own {
		// From here on this process removes the file.
		u.SetUnlinkOnClose(true)
	}
	if g.before == nil {
		return unused, nil
	}
	_, err = g.before.Write([]byte{ready})
	if err = errors.Join(err, g.before.Close()); err != nil {
		err = fmt.Errorf("telling the process before that this one is ready: %w", err)
	}
	g.before = nil
	return unused, err
}
