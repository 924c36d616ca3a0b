package soak

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// node is a broker in a process of its own, which can be killed and started again.
type node struct {
	letter  string
	number  int
	program string
	config  string // its file
	log     string // its file, of all its lives
	admin   string
	urls    map[string]string // by format

	cmd      *exec.Cmd
	over     chan struct{} // closed when the process has ended
	expected atomic.Bool   // it may end
}

// formats are the names of the dialects, in an order.
var formats = []string{"wubsub", "wsify", "stocking", "vws", "webwire"}

// callTimeout is that of the configuration of nodes.
const callTimeout = "2s"

// newNodes builds the broker and writes the configurations of nodes that know each other.
func newNodes(t *testing.T, letters ...string) []*node {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "broker")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v: %s", err, out)
	}
	var taken, listen, routes []string
	address := func() string {
		for {
			if a := freeAddress(t); !slices.Contains(taken, a) {
				taken = append(taken, a)
				return a
			}
		}
	}
	for range letters {
		a := address()
		listen, routes = append(listen, a), append(routes, fmt.Sprintf("%q", "nats://"+a))
	}
	var all []*node
	for i, letter := range letters {
		n := &node{
			letter: letter, number: i, program: program, config: filepath.Join(dir, letter+".yaml"), log: filepath.Join(dir, letter+".log"),
			urls: make(map[string]string),
		}
		text := new(strings.Builder)
		fmt.Fprintln(text, "endpoints:")
		for _, f := range formats {
			a := address()
			n.urls[f] = "ws://" + a + "/"
			more := ""
			switch f {
			case "vws":
				more = ", options: {allow_send: true}"
			case "webwire":
				more = ", options: {concurrency_limit: -1}"
			}
			fmt.Fprintf(text, "  - {name: %s, protocol: %s, listen: %q, path: /, call_timeout: %s%s}\n", f, f, a, callTimeout, more)
		}
		admin := address()
		n.admin = "http://" + admin
		fmt.Fprintf(text, "admin: {listen: %q}\n", admin)
		fmt.Fprintf(text, "cluster: {engine: nats, node: %s, embedded: {listen: %q, routes: [%s], store_dir: %q}}\n",
			letter, listen[i], strings.Join(routes, ", "), filepath.Join(dir, letter))
		if err := os.WriteFile(n.config, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
		t.Cleanup(func() {
			if n.cmd != nil {
				n.expected.Store(true)
				_ = n.cmd.Process.Kill()
				<-n.over
			}
			if t.Failed() {
				n.show(t)
			}
		})
	}
	return all
}

// start starts the process. unexpected is told if it ends by itself.
func (n *node) start(unexpected func(error)) error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	n.cmd = exec.Command(n.program, "serve", "--config", n.config)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed, nobody else ends it
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.over = make(chan struct{})
	n.expected.Store(false)
	go func() {
		err := n.cmd.Wait()
		if !n.expected.Load() {
			unexpected(fmt.Errorf("node %s has ended by itself: %w", n.letter, err))
		}
		close(n.over)
	}()
	return nil
}

// end sends a signal that ends the process, waits until it has ended and returns its exit code.
func (n *node) end(t *testing.T, by syscall.Signal) int {
	t.Helper()
	n.expected.Store(true)
	if err := n.cmd.Process.Signal(by); err != nil {
		t.Fatalf("ending node %s: %v", n.letter, err)
	}
	coretest.Receive(t, fmt.Sprintf("node %s has ended after %v", n.letter, by), n.over)
	return n.cmd.ProcessState.ExitCode()
}

// signal sends a signal that does not end the process.
func (n *node) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatalf("sending %v to node %s: %v", s, n.letter, err)
	}
}

// ill returns why the node is not a node among others others; "" if it is.
func (n *node) ill(t *testing.T, others int) string {
	t.Helper()
	text, status, err := get(n.admin + "/readyz")
	if err != nil || status != 200 || strings.TrimSpace(text) != "ok" {
		return fmt.Sprintf("%s: %d %s %v", n.letter, status, text, err)
	}
	page, _, err := get(n.admin + "/metrics")
	if err != nil {
		return fmt.Sprintf("%s: %v", n.letter, err)
	}
	if sees := total(t, page, "polywire_cluster_nodes"); sees != int64(others) {
		return fmt.Sprintf("%s sees %d nodes", n.letter, sees)
	}
	return ""
}

// complaint finds lines that a log must not have: no error of level ERROR is expected here. Go
// writes the others about a panic, a deadlock or a data race.
var complaint = regexp.MustCompile(`level=ERROR|panic|^fatal error:|^goroutine \d|^WARNING: DATA RACE`)

// complaints returns the lines of its log that should not be there.
func (n *node) complaints(t *testing.T) (lines []string) {
	t.Helper()
	n.eachLine(t, func(line string) {
		if complaint.MatchString(line) {
			lines = append(lines, line)
		}
	})
	return lines
}

// show shows the lines of its log that are worth reading.
func (n *node) show(t *testing.T) {
	t.Helper()
	var lines []string
	n.eachLine(t, func(line string) { lines = append(lines, line) })
	if most := 300; len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	t.Logf("the log of node %s:\n%s", n.letter, strings.Join(lines, "\n"))
}

func (n *node) eachLine(t *testing.T, f func(line string)) {
	t.Helper()
	log, err := os.Open(n.log)
	if err != nil {
		t.Log(err)
		return
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(lines.Text())
	}
}
