package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/core/coretest"
)

// long is the timeout for states that come in their own time.
const long = 3 * time.Minute

// built is the folder of the built program.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the program once more, as users have it.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "broker")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w: %s", err, out)
	}
	return path, nil
})

// process is a running program. Processes that it starts write to the same log.
type process struct {
	cmd   *exec.Cmd
	log   *logs
	table chan []string // the lines that it, and those it starts, print
}

// begin runs a program, "" is ours, with arguments and further environment, and passes files as
// descriptors from 3 on.
func begin(t *testing.T, env []string, files []*os.File, path string, args ...string) *process {
	t.Helper()
	if path == "" {
		var err error
		if path, err = build(); err != nil {
			t.Fatal(err)
		}
	}
	p := &process{cmd: exec.Command(path, args...), log: new(logs), table: make(chan []string, 64)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.ExtraFiles = files
	out, table, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, log, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = table, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = table.Close()
	_ = log.Close()
	go func() { _, _ = io.Copy(p.log, in) }()
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.table <- strings.Fields(lines.Text())
		}
		close(p.table)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	return p
}

// urls reads one table of n lines.
func (p *process) urls(t *testing.T, n int) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for deadline := time.After(long); len(found) < n; {
		select {
		case line, ok := <-p.table:
			if !ok {
				_ = p.cmd.Wait()
				t.Fatalf("no table: %s", p.log)
			}
			if line[0] != "ENDPOINT" {
				found[line[0]+" "+line[2][:2]] = line[2]
			}
		case <-deadline:
			t.Fatalf("no table: %s", p.log)
		}
	}
	return found
}

// running reports whether a process exists and has not ended.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// crowd are clients that connect without a pause, each in its own way.
type crowd struct {
	stop      atomic.Bool
	over      context.Context // ends with stop
	staying   atomic.Int64
	done      sync.WaitGroup
	connected atomic.Int64
	refused   logs
}

// add adds a client that connects again and again.
func (c *crowd) add(name string, connect func(ctx context.Context) error) {
	c.done.Go(func() {
		for !c.stop.Load() {
			ctx, cancel := context.WithTimeout(context.Background(), long)
			if err := connect(ctx); err != nil {
				fmt.Fprintf(&c.refused, "%s %s: %v\n", time.Now().UTC().Format("15:04:05.000"), name, err)
			}
			c.connected.Add(1)
			cancel()
		}
	})
}

// converseOnce connects to an endpoint that echoes. A goodbye after the upgrade does not count as a
// refusal.
func converseOnce(d ws.Dialer, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, _, _, err := d.Dial(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := wsutil.WriteClientText(conn, []byte("hello")); err == nil {
			_ = conn.SetReadDeadline(time.Now().Add(long))
			_, _, _ = wsutil.ReadServerData(conn)
		}
		return nil
	}
}

// stay connects to an endpoint that echoes and stays until the goodbye, which it answers as clients
// do.
func (c *crowd) stay(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, _, _, err := ws.Dial(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close()
		c.staying.Add(1)
		defer c.staying.Add(-1)
		unblock := context.AfterFunc(c.over, func() { _ = conn.Close() })
		defer unblock()
		for {
			if _, _, err := wsutil.ReadServerData(conn); err != nil {
				return nil
			}
		}
	}
}

// post sends plain HTTP requests, with a new connection for each.
func post(method, url string, status int) func(context.Context) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(`{"channel":"a","content":1}`))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != status {
			return fmt.Errorf("%s", response.Status)
		}
		return nil
	}
}

var nextPid = regexp.MustCompile(`the next process serves; this one ends" pid=(\d+)`)

// TestNobodyIsRefused replaces the program three times while clients connect without a pause: none
// of its sockets refuses any of them.
func TestNobodyIsRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	file := write(t, fmt.Sprintf(`
endpoints:
  - {name: echo, protocol: echo, listen: "127.0.0.1:0"}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0"}
  - {name: near, protocol: echo, listen: "unix:%s"}
admin: {listen: "127.0.0.1:0"}
drain: {rate: 0, timeout: 1m}
`, socket))
	p := begin(t, nil, nil, "", "serve", "-c", file)
	urls := p.urls(t, 5)
	if want := "ws+unix:" + socket + ":/"; urls["near ws"] != want {
		t.Errorf("the socket's URL is %q, want %q", urls["near ws"], want)
	}
	over, end := context.WithCancel(t.Context())
	c := crowd{over: over}
	defer c.done.Wait()
	defer end()
	defer c.stop.Store(true)
	near := ws.Dialer{NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	for range 3 {
		c.add("TCP", converseOnce(ws.Dialer{}, urls["echo ws"]))
		c.add("Unix", converseOnce(near, "ws://near/"))
	}
	const staying = 50
	for range staying {
		c.add("staying", c.stay(urls["echo ws"]))
	}
	c.add("POST", post(http.MethodPost, urls["web ht"], http.StatusCreated))
	c.add("GET", post(http.MethodGet, urls["admin ht"], http.StatusOK))
	pid := p.cmd.Process.Pid
	more := func() {
		from := c.connected.Load()
		await(t, "clients connect", func() bool { return c.connected.Load() > from+500 && c.staying.Load() == staying })
	}
	for round := range 3 {
		more()
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		var found [][]string
		await(t, "the next process serves", func() bool {
			found = nextPid.FindAllStringSubmatch(p.log.String(), -1)
			return len(found) > round
		})
		more()
		old := pid
		pid, _ = strconv.Atoi(found[round][1])
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		if round == 0 {
			go func() { _ = p.cmd.Wait() }()
		}
		await(t, "the process before ends", func() bool { return !running(old) })
	}
	more()
	c.stop.Store(true)
	end()
	c.done.Wait()
	if refused := c.refused.String(); refused != "" {
		t.Errorf("of %d clients %d were refused:\n%.2000s", c.connected.Load(), strings.Count(refused, "\n"), refused)
	}
	t.Logf("%d clients connected", c.connected.Load())
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the last process ends", func() bool { return !running(pid) })
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the last process leaves its socket behind: %v", err)
	}
}

// TestNextThatDoesNotServe: a process that cannot be replaced goes on.
func TestNextThatDoesNotServe(t *testing.T) {
	file := write(t, "endpoints: [{name: echo, protocol: echo, listen: '127.0.0.1:0'}]\nadmin: {listen: ''}\n")
	p := begin(t, nil, nil, "", "serve", "-c", file, "--watch=false")
	url := p.urls(t, 1)["echo ws"]
	if err := os.WriteFile(file, []byte("endpoints: [{name: echo, protocol: ekko}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		await(t, "it is logged", func() bool {
			return p.log.count(`msg="this process goes on" error="the next process does not serve: it ended: exit status 1; see its log"`) == round+1
		})
		if p.log.count(file+`:1: endpoints[0].protocol: unknown protocol "ekko"`) != round+1 {
			t.Errorf("the fault is not told: %s", p.log)
		}
		if err := converseOnce(ws.Dialer{}, url)(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestHandingOverStandardInput: text read from standard input reaches the next process; a reload
// says that it cannot be read again.
func TestHandingOverStandardInput(t *testing.T) {
	file := write(t, "endpoints: [{name: echo, protocol: echo, listen: '127.0.0.1:0'}]\nadmin: {listen: ''}\n")
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := begin(t, nil, nil, "/bin/sh", "-c", `exec "$0" serve --config - < "$1"`, path, file)
	url := p.urls(t, 1)["echo ws"]
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "the reload is refused", func() bool { return p.log.count("cannot be read again; start the broker with --config FILE") == 1 })
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	// The end of the log may come after the end of the process.
	await(t, "the next process is named", func() bool { return nextPid.MatchString(p.log.String()) })
	pid, _ := strconv.Atoi(nextPid.FindStringSubmatch(p.log.String())[1])
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	if err := converseOnce(ws.Dialer{}, url)(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestHandingOverANode: who replaces a node of a cluster is told what its clients miss meanwhile.
func TestHandingOverANode(t *testing.T) {
	p := begin(t, nil, nil, "", "serve", "--config", write(t, fmt.Sprintf(`
endpoints: [{name: echo, protocol: echo, listen: '127.0.0.1:0'}]
admin: {listen: ''}
cluster: {engine: redis, node: a, url: 'redis://127.0.0.1:%d'}
`, coretest.FreePort(t))))
	p.urls(t, 1)
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	await(t, "the next process is named", func() bool { return nextPid.MatchString(p.log.String()) })
	pid, err := strconv.Atoi(nextPid.FindStringSubmatch(p.log.String())[1])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	if p.log.count("unless its configuration has another cluster.node by now") != 1 {
		t.Error("it is not told")
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	await(t, "the next process ends", func() bool { return !running(pid) })
}
