package soak

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// node is a broker in a process of its own.
type node struct {
	*process
	letter string
	number int
	admin  string
	urls   map[string]string // by format, and patient
	by     ws.Dialer         // connects to it
	http   http.Client       // the same
}

// formats are the names of the dialects, in an order.
var formats = []string{"wubsub", "wsify", "stocking", "vws", "webwire"}

// callTimeout is that of the configuration of nodes. At the endpoint named patient calls have so
// much time that they end otherwise.
const (
	callTimeout    = 10 * time.Second
	patient        = "patient"
	patientTimeout = 20 * time.Second
)

// buildBroker returns the program.
func buildBroker(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "broker")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/broker").CombinedOutput(); err != nil {
		t.Fatalf("building the broker: %v: %s", err, out)
	}
	return program
}

// newNodes writes the configurations of nodes, one for each line, which is what the configuration
// says of the cluster. s is where they run; nil is here.
func newNodes(t *testing.T, g *ground, program string, lines []string, s *spaces) (all []*node) {
	t.Helper()
	for i, line := range lines {
		letter := letterOf(i)
		n := &node{letter: letter, number: i, urls: make(map[string]string)}
		text := new(strings.Builder)
		fmt.Fprintln(text, "endpoints:")
		endpoint := func(name, protocol string, timeout time.Duration, more string) {
			a := freeAddress(t)
			n.urls[name] = "ws://" + a + "/"
			fmt.Fprintf(text, "  - {name: %s, protocol: %s, listen: %q, path: /, call_timeout: %v%s}\n", name, protocol, a, timeout, more)
		}
		for _, f := range formats {
			endpoint(f, f, callTimeout, map[string]string{
				"vws": ", options: {allow_send: true}", "webwire": ", options: {concurrency_limit: -1}",
			}[f])
		}
		endpoint(patient, "wsify", patientTimeout, "")
		admin := freeAddress(t)
		n.admin = "http://" + admin
		fmt.Fprintf(text, "admin: {listen: %q}\n%s\n", admin, line)
		config := filepath.Join(g.dir, letter+".yaml")
		if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		command := []string{program, "serve", "--config", config}
		dial := new(net.Dialer).DialContext
		if s != nil {
			command = append(s.prefix(i), command...)
			dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				return s.dial(ctx, i, network, address)
			}
		}
		n.process = newProcess(t, "node "+letter, filepath.Join(g.dir, letter+".log"), func() *exec.Cmd {
			return exec.Command(command[0], command[1:]...)
		})
		n.by = ws.Dialer{NetDial: dial}
		n.http = http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}, Timeout: time.Minute}
		all = append(all, n)
	}
	return all
}

func letterOf(number int) string { return string(rune('a' + number)) }

// view is how a node is.
type view struct {
	why    string // what is wrong
	joined int64  // how often it has joined the cluster
	others int    // how many other nodes it sees
}

func (n *node) look(t *testing.T) view {
	t.Helper()
	text, status, err := getBy(&n.http, n.admin+"/readyz")
	if err != nil {
		return view{why: err.Error()}
	}
	s := view{}
	if status != 200 || strings.TrimSpace(text) != "ok" {
		s.why = fmt.Sprintf("%s: %d %s", n.name, status, text)
	}
	page, _, err := getBy(&n.http, n.admin+"/metrics")
	if err != nil {
		return view{why: err.Error()}
	}
	s.joined, s.others = total(t, page, "polywire_cluster_connects_total"), int(total(t, page, "polywire_cluster_nodes"))
	return s
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
