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

// TestReloadCommand runs a broker and reloads it by command, by signal and by a change of its file;
// a broken file is logged once and changes nothing.
func TestReloadCommand(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	admin := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	config := func(endpoints string) string {
		return fmt.Sprintf("endpoints:\n  - {name: a, protocol: echo, listen: '127.0.0.1:0'}\n%sadmin: {listen: %q}\n", endpoints, admin)
	}
	file := write(t, config(""))
	edit := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, table := io.Pipe()
	log := new(logs)
	ended := make(chan int, 1)
	go func() {
		ended <- run([]string{"serve", "-c", file}, table, log)
		_ = table.Close()
	}()
	if !bufio.NewScanner(out).Scan() {
		t.Fatalf("no table; exit code %d", <-ended)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	reload := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		var o, e bytes.Buffer
		if got := run(append([]string{"reload", "-c", file}, args...), &o, &e); got != code {
			t.Errorf("code %d, want %d: %s%s", got, code, &o, &e)
		}
		check(t, "stdout", o.String(), stdout)
		check(t, "stderr", e.String(), stderr)
	}
	reload(0, "a         unchanged\n", "")

	edit(config("  - {name: b, protocol: echo, listen: '127.0.0.1:0'}\n") + "log: {format: json}\n")
	reload(0, "b         new\n\nNeeds a restart: log.format\n", "", "--dry-run")
	await(t, "the changed file is taken", func() bool { return log.count(`endpoint=b outcome=new`) == 1 })

	edit(config("  - {name: b, protocol: echo, listen: '127.0.0.1:0', max_call: 3}\n"))
	reload(1, "", file+":3: endpoints[1].max_call: unknown key", "--dry-run")
	await(t, "the broken file is logged", func() bool { return log.count("max_call: unknown key") == 1 })
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "the signal is heard", func() bool { return log.count("max_call: unknown key") == 2 })

	edit(config(fmt.Sprintf("  - {name: b, protocol: echo, listen: '127.0.0.1:0'}\n  - {name: c, protocol: echo, listen: %q}\n", taken(t))))
	reload(1, "", "nothing has changed:\nopening the endpoints: endpoint c: listen tcp")

	edit(config(""))
	await(t, "b is removed", func() bool { return log.count("endpoint=b outcome=\"removed: 0 disconnects\"") == 1 })
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+admin+"/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "http://"+admin)
	if response, err := http.DefaultClient.Do(request); err != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page: %v, %v", response, err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != 0 {
		t.Errorf("code %d", code)
	}
	reload(1, "", "connection refused; if it runs with another admin address than the file has now, --admin names that")
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
