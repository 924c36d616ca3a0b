package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// server is a server that the benchmark can start.
type server struct {
	name string
	// command returns how to start the server and, if it is known in advance, where it will listen;
	// a zero address is read from its first line of output. dir is for its own files.
	command func(dir string) (*exec.Cmd, netip.AddrPort, error)
}

// called returns the server's name.
func (s server) called() string { return s.name }

// logName is the name of the server's log file.
func (s server) logName() string { return strings.ReplaceAll(s.name, " ", "-") + ".log" }

// contender is a server that delivers what is published.
type contender struct {
	server
	// speaker is the dialect of the publisher.
	speaker dialect
	// listeners are the dialects of the subscribers, equally many of each.
	listeners []dialect
}

// reference is the name of the contender that is the base of all ratios.
const reference = "gorilla"

// mixed is the name of the broker with subscribers of all formats at once.
const mixed = "broker mixed"

// contenders returns the servers in the order in which every round runs them.
func contenders(broker, peers string) []contender {
	hub := sized(plainHub)
	list := []contender{
		{server{reference, peer(filepath.Join(peers, "gorilla"))}, hub, []dialect{hub}},
		{server{"gws", peer(filepath.Join(peers, "gws"))}, hub, []dialect{hub}},
	}
	for _, f := range formats() {
		d := sized(f.speak)
		list = append(list, contender{server{"broker " + f.protocol, serve(broker, "", f)}, d, []dialect{d}})
	}
	speaker, listeners := mixedDialects(formats())
	return append(list, contender{server{mixed, serve(broker, "", formats()...)}, speaker, listeners})
}

// peer starts a program that prints where it listens.
func peer(path string) func(string) (*exec.Cmd, netip.AddrPort, error) {
	return func(string) (*exec.Cmd, netip.AddrPort, error) {
		return exec.Command(path, "-listen", "127.0.0.1:0"), netip.AddrPort{}, nil
	}
}

// serve starts the broker with one endpoint for each format, at one address, with further lines of
// configuration, and otherwise its defaults.
func serve(broker, further string, formats ...format) func(string) (*exec.Cmd, netip.AddrPort, error) {
	return func(dir string) (*exec.Cmd, netip.AddrPort, error) {
		admin, err := freePort()
		if err != nil {
			return nil, admin, err
		}
		return serveAt(broker, admin, further, formats...)(dir)
	}
}

// serveAt is serve with the address of the admin interface.
func serveAt(broker string, admin netip.AddrPort, further string, formats ...format) func(string) (*exec.Cmd, netip.AddrPort, error) {
	return func(dir string) (*exec.Cmd, netip.AddrPort, error) {
		addr, err := freePort()
		if err != nil {
			return nil, addr, err
		}
		var text strings.Builder
		text.WriteString("endpoints:\n")
		for _, f := range formats {
			fmt.Fprintf(&text, "  - { name: %s, protocol: %[1]s, listen: %q, path: %q%s }\n",
				f.protocol, addr, f.path(), f.settings)
		}
		fmt.Fprintf(&text, "admin: { listen: %q }\n%s", admin, further)
		file := filepath.Join(dir, "broker.yaml")
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			return nil, addr, fmt.Errorf("writing configuration: %w", err)
		}
		return exec.Command(broker, "serve", "--config", file), addr, nil
	}
}

// freePort returns a loopback address that is currently free.
func freePort() (netip.AddrPort, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close()
	return netip.ParseAddrPort(ln.Addr().String())
}

// start runs the server on one core and returns when it accepts connections. Its log goes to a file
// in dir.
func (s server) start(ctx context.Context, dir string, core int) (*process, netip.AddrPort, error) {
	cmd, addr, err := s.command(dir)
	if err != nil {
		return nil, addr, err
	}
	logFile, err := os.Create(filepath.Join(dir, s.logName()))
	if err != nil {
		return nil, addr, fmt.Errorf("making log: %w", err)
	}
	defer logFile.Close()
	cmd.Stderr = logFile
	saysAddress := !addr.IsValid()
	var output *bufio.Reader
	if saysAddress {
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			return nil, addr, fmt.Errorf("making pipe: %w", err)
		}
		output = bufio.NewReader(pipe)
	} else {
		cmd.Stdout = logFile
	}
	p, err := startPinned(cmd, core)
	if err != nil {
		return nil, addr, err
	}
	if saysAddress {
		line, err := output.ReadString('\n')
		if err == nil {
			addr, err = netip.ParseAddrPort(strings.TrimSpace(line))
		}
		if err != nil {
			p.stop()
			return nil, addr, fmt.Errorf("reading address of %s: %w", s.name, err)
		}
	}
	if err := await(ctx, addr); err != nil {
		p.stop()
		return nil, addr, fmt.Errorf("awaiting %s (its log is %s): %w", s.name, logFile.Name(), err)
	}
	return p, addr, nil
}

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = 30 * time.Second

// await returns when addr accepts a connection.
func await(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr.String())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
