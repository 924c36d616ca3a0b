package plugin_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

// A killed plugin comes back. Its connections notice no more than a pause, and other
// endpoints not even that.
func TestKill(t *testing.T) {
	b := run(t, yamlOf("test", "", ""))
	c, other := b.dial("p"), b.dial("echo")
	c.expect("hello")
	pid := c.ask("before")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		other.send(strconv.Itoa(i))
		other.expect(strconv.Itoa(i))
	}
	for i := range 50 {
		c.send(strconv.Itoa(i))
	}
	for i := range 50 {
		if got := pidThen.FindStringSubmatch(c.read()); got == nil || got[2] != strconv.Itoa(i) || got[1] == strconv.Itoa(pid) {
			t.Fatalf("read %q, want message %d from another process", got, i)
		}
	}
	until(t, "the count of restarts", func() bool { return b.metric(`polywire_plugin_restarts_total{endpoint="p"`) == 1 })
	until(t, "all answers", func() bool { return b.metric("polywire_plugin_unanswered") == 0 })
}

// A plugin that hangs is killed after its timeout, even if nobody asks it anything.
func TestHang(t *testing.T) {
	for _, idle := range []bool{false, true} {
		t.Run(fmt.Sprintf("idle=%v", idle), func(t *testing.T) {
			t.Parallel()
			b := run(t, yamlOf("test", ", answer_timeout: 2s", ""))
			c := b.dial("p")
			c.expect("hello")
			pid := c.ask("before")
			stop(t, pid)
			if idle {
				until(t, "the restart", func() bool { return b.metric("polywire_plugin_restarts_total") > 0 })
			}
			if c.ask("after") == pid {
				t.Error("the stopped process answered")
			}
			until(t, "the end of the old process", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
		})
	}
}

// A plugin that stands still holds up no loop, however much its clients send. When it goes on,
// they get all their answers; those that have left meanwhile do no harm.
func TestStandstill(t *testing.T) {
	const clients, messages = 8, 200
	b := run(t, yamlOf("test", ", answer_timeout: 10m", "")+"network: {loops: 1}\n")
	other := b.dial("echo")
	var all []*client
	for range clients {
		c := b.dial("p")
		c.expect("hello")
		all = append(all, c)
	}
	pid := all[0].ask("before")
	stop(t, pid)
	text := strings.Repeat("x", 8<<10)
	var senders sync.WaitGroup
	for _, c := range all {
		senders.Go(func() {
			// Those that leave do so in the midst of it.
			message := ws.MaskFrame(ws.NewTextFrame([]byte(text)))
			for range messages {
				if ws.WriteFrame(c.Conn, message) != nil {
					return
				}
			}
		})
	}
	until(t, "the backlog", func() bool { return b.metric("polywire_plugin_unanswered") > clients })
	for i := range 100 {
		other.send(strconv.Itoa(i))
		other.expect(strconv.Itoa(i))
	}
	stay, leave := all[:clients/2], all[clients/2:]
	for _, c := range leave {
		if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if !inState(pid, "T") {
		t.Error("the plugin went on by itself")
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, c := range stay {
		for range messages {
			c.expect(fmt.Sprintf("%d %s", pid, text))
		}
	}
	senders.Wait()
	until(t, "the end of those who left", func() bool { return b.metric(`polywire_connections_open{endpoint="p"`) == float64(len(stay)) })
	if n := b.metric("polywire_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// A message over which the plugin dies twice costs only its own connection.
func TestPoison(t *testing.T) {
	for _, poison := range []string{"die", "hang"} {
		t.Run(poison, func(t *testing.T) {
			t.Parallel()
			b := run(t, yamlOf("test", ", answer_timeout: 2s", ""))
			good, bad := b.dial("p"), b.dial("p")
			good.expect("hello")
			bad.expect("hello")
			bad.send(poison)
			bad.expect("close 1012")
			good.ask("still here")
			until(t, "all answers", func() bool { return b.metric("polywire_plugin_unanswered") == 0 })
			if n := b.metric(`polywire_connections_closed_total{endpoint="p",protocol="test",reason="restart"}`); n != 1 {
				t.Errorf("%v connections were closed, want 1", n)
			}
		})
	}
}

// A stateful codec cannot go on with its connections.
func TestStateful(t *testing.T) {
	b := run(t, yamlOf("test", "", "    options: {stateful: true}"))
	c := b.dial("p")
	c.expect("hello")
	if err := syscall.Kill(c.ask("x"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.expect("close 1012")
	again := b.dial("p")
	again.expect("hello")
	again.ask("y")
}

// Connections wait only so long for a plugin that does not come back; when it does after
// all, new ones are served.
func TestGrace(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	link := func() {
		if err := os.Symlink(os.Args[0], program); err != nil {
			t.Fatal(err)
		}
	}
	link()
	yaml := strings.Replace(yamlOf("test", ", grace: 300ms", ""), os.Args[0], program, 1)
	b := run(t, yaml)
	c := b.dial("p")
	c.expect("hello")
	pid := c.ask("x")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.send("lost")
	c.expect("close 1012")
	until(t, "the loss of all", func() bool { return b.metric("polywire_plugin_unanswered") == 0 })
	b.dial("p").expect("close 1012")
	link()
	until(t, "the plugin", func() bool { return b.dial("p").read() == "hello" })
	until(t, "the log says why", func() bool { return b.log.has("there is no program") })
}

// Wrong answers of a plugin end, at worst, connections of its endpoint.
func TestNonsense(t *testing.T) {
	for role, want := range map[string]string{
		"well-behaved": "x", "too many": "close 1012", "too few": "close 1012", "bad call": "close 1012",
		"bad payload": "close 1012", "steps for an event": "close 1012", "bad kind": "close 1012", "unasked": "close 1012",
		"floods":   "close 1012",
		"bad verb": "", "bad text": "",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			b := run(t, yamlOf(role, ", grace: 2s", ""))
			c, other := b.dial("p"), b.dial("echo")
			c.send("x")
			if want != "" {
				c.expect(want)
			}
			other.send("y")
			other.expect("y")
			if want == "close 1012" {
				until(t, "the log names the endpoint", func() bool { return b.log.has("endpoint=p") })
			}
		})
	}
}

// A program with the right checksum serves, and so does one with mutual TLS.
func TestTrusted(t *testing.T) {
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, settings := range []string{
		fmt.Sprintf(`, checksum: "sha256:%x"`, sha256.Sum256(program)),
		", mtls: true",
	} {
		t.Run(settings[2:8], func(t *testing.T) {
			b := run(t, yamlOf("test", settings, ""))
			c := b.dial("p")
			c.expect("hello")
			pid := c.ask("x")
			// The next process serves as well.
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if c.ask("y") == pid {
				t.Error("the same process has answered")
			}
		})
	}
}

// A panic of the codec, and a payload that others could not read, end the connection.
func TestFaultyCodec(t *testing.T) {
	b := run(t, yamlOf("test", "", ""))
	other := b.dial("p")
	other.expect("hello")
	pid := other.ask("x")
	for _, message := range []string{"panic", `json {"a":`, "json {}x"} {
		c := b.dial("p")
		c.expect("hello")
		c.send(message)
		c.expect("close 1011")
	}
	if other.ask("y") != pid {
		t.Error("the process has ended")
	}
	until(t, "the log tells of the panic", func() bool { return b.log.has("codec panicked") && b.log.has("as it was told") })
}

// Several processes share the connections, and a message reaches those of all.
func TestProcesses(t *testing.T) {
	b := run(t, strings.Replace(yamlOf("test", ", processes: 2", ""), "admin:", "network: {loops: 2}\nadmin:", 1))
	pids := map[int]bool{}
	var clients []*client
	for range 8 {
		c := b.dial("p")
		c.expect("hello")
		c.send("join room")
		pids[c.ask("x")] = true
		clients = append(clients, c)
	}
	if len(pids) != 2 {
		t.Errorf("%d processes have answered, want 2", len(pids))
	}
	for i := range 20 {
		clients[0].send("say " + strconv.Itoa(i))
	}
	for _, c := range clients {
		for i := range 20 {
			c.expect(strconv.Itoa(i))
		}
	}
}

// runHost is a broker in a process of its own. It prints its plugin's greeting.
func runHost() {
	cfg, err := polywire.Load(config.Source{File: os.Getenv("POLYWIRE_TEST_CONFIG")}, nil)
	if err != nil {
		panic(err)
	}
	b, err := polywire.New(cfg, slog.Default())
	if err != nil {
		panic(err)
	}
	go func() {
		<-b.Ready()
		fmt.Fprintln(os.Stdout, b.Endpoints()[0].URL)
	}()
	panic(b.Run(context.Background()))
}

// A broker that is killed takes its plugins with it, and one that ends leaves nothing.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var pid int
	t.Run("run", func(t *testing.T) {
		b := run(t, yamlOf("test", "", ""))
		c := b.dial("p")
		c.expect("hello")
		pid = c.ask("x")
	})
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d of the plugin is still there", pid)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "polywire-plugin-*")); len(left) > 0 {
		t.Errorf("these folders are left: %v", left)
	}

	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yamlOf("test", "", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), roleVariable+"=host", "POLYWIRE_TEST_CONFIG="+file)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	if _, err := fmt.Fscanln(out, &url); err != nil {
		t.Fatal(err)
	}
	c := (&broker{t: t, urls: map[string]string{"p": url}}).dial("p")
	c.expect("hello")
	pid = c.ask("x")
	_ = host.Process.Kill()
	_ = host.Wait()
	// A process that has ended may wait for its new parent.
	until(t, "the end of the plugin", func() bool { return inState(pid, "Z") || syscall.Kill(pid, 0) == syscall.ESRCH })
}

// stop suspends a process.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "the stop", func() bool { return inState(pid, "T") })
}

// inState reports whether a process is in the state of that letter.
func inState(pid int, letter string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") "+letter+" ")
}
