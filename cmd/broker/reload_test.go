package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// logs is a log buffer that can be read while it is written.
type logs struct {
	// Guarded by mu.
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// reloaded is a broker that serves the configuration of a file in this process.
type reloaded struct {
	t           *testing.T
	file, admin string
	log         *logs
	ended       chan int
}

// beginReloaded serves endpoint a, with more arguments than those that name the file.
func beginReloaded(t *testing.T, args ...string) *reloaded {
	t.Helper()
	procs := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	r := &reloaded{t: t, admin: fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t)), log: new(logs), ended: make(chan int, 1)}
	r.file = write(t, r.config(""))
	out, table := io.Pipe()
	go func() {
		r.ended <- run(append([]string{"serve", "-c", r.file}, args...), table, r.log)
		_ = table.Close()
	}()
	if !bufio.NewScanner(out).Scan() {
		t.Fatalf("no table; exit code %d", <-r.ended)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return r
}

// config is the configuration with more endpoints.
func (r *reloaded) config(endpoints string) string {
	return fmt.Sprintf("endpoints:\n  - {name: a, protocol: echo, listen: '127.0.0.1:0'}\n%sadmin: {listen: %q}\n", endpoints, r.admin)
}

func (r *reloaded) edit(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reload runs the command.
func (r *reloaded) reload(code int, stdout, stderr string, args ...string) {
	r.t.Helper()
	var o, e bytes.Buffer
	if got := run(append([]string{"reload", "-c", r.file}, args...), &o, &e); got != code {
		r.t.Errorf("code %d, want %d: %s%s", got, code, &o, &e)
	}
	check(r.t, "stdout", o.String(), stdout)
	check(r.t, "stderr", e.String(), stderr)
}

// signal sends a signal to this process.
func (r *reloaded) signal(s syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reloaded) end() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	if code := <-r.ended; code != 0 {
		r.t.Errorf("code %d", code)
	}
}

const (
	withB      = "  - {name: b, protocol: echo, listen: '127.0.0.1:0'}\n"
	withWrongB = "  - {name: b, protocol: echo, listen: '127.0.0.1:0', max_call: 3}\n"
)

// TestReloadCommand runs a broker that does not look at its file, and reloads it by command.
func TestReloadCommand(t *testing.T) {
	r := beginReloaded(t, "--watch=false")
	r.reload(0, "a         unchanged\n", "")
	r.edit(r.config(withB) + "log: {format: json}\n")
	r.reload(0, "b         new\n\nNeeds a restart: log.format\n", "", "--dry-run")
	r.reload(0, "b         new\n\nNeeds a restart: log.format\n", "")
	r.edit(r.config(withWrongB))
	r.reload(1, "", r.file+":3: endpoints[1].max_call: unknown key", "--dry-run")
	r.edit(r.config(fmt.Sprintf("%s  - {name: c, protocol: echo, listen: %q}\n", withB, taken(t))))
	r.reload(1, "", "nothing has changed:\nopening the endpoints: endpoint c: listen tcp")
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+r.admin+"/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "http://"+r.admin)
	if response, err := http.DefaultClient.Do(request); err != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page: %v, %v", response, err)
	}
	r.end()
	r.reload(1, "", "connection refused; if it runs with another admin address than the file has now, --admin names that")
}

// TestReloadByItself reloads a broker by a signal and by a change of its file; a broken file is logged once and
// changes nothing.
func TestReloadByItself(t *testing.T) {
	r := beginReloaded(t)
	r.edit(r.config(withB))
	await(t, "the changed file is taken", func() bool { return r.log.count(`endpoint=b outcome=new`) == 1 })
	r.edit(r.config(withWrongB))
	await(t, "the broken file is logged", func() bool { return r.log.count("max_call: unknown key") == 1 })
	r.signal(syscall.SIGHUP)
	await(t, "the signal is heard", func() bool { return r.log.count("max_call: unknown key") == 2 })
	r.edit(r.config(""))
	await(t, "b is removed", func() bool { return r.log.count("endpoint=b outcome=\"removed: 0 disconnects\"") == 1 })
	r.end()
}

// taken returns an address that somebody listens on.
func taken(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	coretest.Eventually(t, what, f)
}
