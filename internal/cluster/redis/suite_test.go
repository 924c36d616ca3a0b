package redis

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// testLog is where nodes log: nowhere, or with POLYWIRE_TEST_LOG set to the output of the test.
func testLog() *slog.Logger {
	if os.Getenv("POLYWIRE_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startNode starts a node, which the test closes or kills.
func startNode(t testing.TB, o Options, c core.Cluster) (*Backplane, *core.ClusterStats) {
	t.Helper()
	o.Stats = new(core.ClusterStats)
	o.Logger = testLog().With("node", o.Node)
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Start(c)
	return b, o.Stats
}

// process is a server of Redis.
type process struct {
	port int
	args []string

	cmd *exec.Cmd
}

// startRedis starts a server with a port and a folder of its own.
func startRedis(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{port: coretest.FreePort(t)}
	p.args = append([]string{"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--loglevel", "warning"}, args...)
	p.start(t)
	t.Cleanup(p.kill)
	return p
}

// start starts the process, again if it was killed.
func (p *process) start(t testing.TB) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("there is no redis-server, which make test installs: install the package of that name")
	}
	p.cmd = exec.Command(path, p.args...)
	if os.Getenv("POLYWIRE_TEST_LOG") != "" {
		p.cmd.Stdout = os.Stderr
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "Redis listens", func() bool {
		conn, err := net.Dial("tcp", p.addr())
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }
func (p *process) url() string  { return "redis://" + p.addr() }

// client connects a program that is no node.
func (p *process) client(t testing.TB) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: p.addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// begin returns what the suite wants to know of a server: each test has its own database for
// topics too, since they have no prefix.
func begin(p *process) func(t testing.TB) clustertest.Cluster {
	n := 0
	return func(testing.TB) clustertest.Cluster {
		n++
		prefix := fmt.Sprintf("test%d:", n)
		return func(t testing.TB, name string, c core.Cluster) *clustertest.Node {
			line := clustertest.NewCable(t, p.addr())
			b, _ := startNode(t, Options{Node: name, URL: "redis://" + line.Addr(), Prefix: prefix}, c)
			return &clustertest.Node{
				Backplane: b, ID: b.ID(), Kill: b.abandon, Sessions: b.Sessions(0), Aging: b.Sessions, Places: b.Places(),
				Cut: func() { line.Cut(true) }, Restore: func() { line.Cut(false) },
			}
		}
	}
}

// TestSingle plays the suite on one server.
func TestSingle(t *testing.T) {
	clustertest.Run(t, begin(startRedis(t)), clustertest.BareTopics)
}

// healthy waits until a node is well.
func healthy(t testing.TB, b *Backplane) {
	t.Helper()
	coretest.Eventually(t, "the node is well", func() bool { return b.Health() == nil })
}

// unwell waits until a node says what is wrong with it, in words that it shall have.
func unwell(t testing.TB, b *Backplane, words ...string) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("the node says %q", words), func() bool { return b.Health() != nil && has(b.Health(), words...) })
}

func has(err error, words ...string) bool {
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			return false
		}
	}
	return true
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
