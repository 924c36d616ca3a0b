package soak

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/polywire/polywire/core/coretest"
)

// engine is what joins the nodes of a cluster, and what is done to it.
type engine struct {
	name string
	// faults are what is done, each as often as it is listed.
	faults []fault
	// spaces says that each node has a network namespace of its own.
	spaces bool
	// nodesVote and serversVote say that channels are in the hands of several nodes, or servers, a
	// majority of which has to be there, and which elect a leader. A lease outlasts one election, not
	// two: so after two faults at once channels may be lost, wherever their owners are. If nobody
	// votes that is so while the server is away.
	nodesVote, serversVote bool
	// begin returns servers, which have not started, and what the configuration of each node says of
	// the cluster.
	begin func(t *testing.T, g *ground) (servers []*process, lines []string)
}

// size is how many nodes a cluster has.
const size = 3

var engines = []engine{
	{
		name: "embedded", nodesVote: true,
		faults: []fault{killed, killed, stopped, quit},
		begin: func(t *testing.T, g *ground) ([]*process, []string) {
			var listen []string
			for range size {
				listen = append(listen, freeAddress(t))
			}
			return nil, embedded(g.dir, listen)
		},
	},
	{
		name: "spaces", nodesVote: true, spaces: true,
		faults: []fault{isolated, isolated, parted, muted, killed, stopped},
		begin: func(_ *testing.T, g *ground) ([]*process, []string) {
			var listen []string
			for i := range size {
				listen = append(listen, addressOf(i)+":6222")
			}
			return nil, embedded(g.dir, listen)
		},
	},
	{
		name:   "nats",
		faults: []fault{killed, stopped, quit, serverKilled, serverKilled, serverStopped},
		begin: func(t *testing.T, g *ground) ([]*process, []string) {
			return natsServers(t, g, 1)
		},
	},
	{
		name: "nats3", serversVote: true,
		faults: []fault{killed, stopped, quit, serverKilled, serverKilled, serverStopped},
		begin: func(t *testing.T, g *ground) ([]*process, []string) {
			return natsServers(t, g, 3)
		},
	},
	{
		name:   "redis",
		faults: []fault{killed, stopped, quit, serverKilled, serverKilled, serverStopped},
		begin: func(t *testing.T, g *ground) ([]*process, []string) {
			// What a killed process has written is kept without fsync, for which a busy disk lets Redis wait.
			return redisServer(t, g, "--appendonly", "yes", "--appendfsync", "no")
		},
	},
	{ // a Redis that forgets everything when it ends
		name:   "forgetful",
		faults: []fault{killed, stopped, serverKilled, serverKilled, emptied, emptied, serverStopped},
		begin: func(t *testing.T, g *ground) ([]*process, []string) {
			return redisServer(t, g, "--appendonly", "no")
		},
	},
}

// ground is what a cluster has for itself.
type ground struct{ dir string }

// embedded returns the lines of nodes that have servers in themselves.
func embedded(dir string, listen []string) (lines []string) {
	var routes []string
	for _, a := range listen {
		routes = append(routes, fmt.Sprintf("%q", "nats://"+a))
	}
	for i, a := range listen {
		letter := letterOf(i)
		lines = append(lines, fmt.Sprintf("cluster: {engine: nats, node: %s, embedded: {listen: %q, routes: [%s], store_dir: %q}}",
			letter, a, strings.Join(routes, ", "), filepath.Join(dir, letter)))
	}
	return lines
}

// natsServers returns n servers of one cluster, and what nodes say of them. Each node has another one
// first.
func natsServers(t *testing.T, g *ground, n int) (servers []*process, lines []string) {
	t.Helper()
	var urls, routes []string
	for range n {
		urls, routes = append(urls, "nats://"+freeAddress(t)), append(routes, "nats://"+freeAddress(t))
	}
	for i := range n {
		name := fmt.Sprintf("nats%d", i+1)
		address, port, _ := strings.Cut(strings.TrimPrefix(urls[i], "nats://"), ":")
		args := []string{"-a", address, "-p", port, "-n", name, "-js", "-sd", filepath.Join(g.dir, name)}
		if n > 1 {
			args = append(args, "--cluster_name", "soak", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
		}
		servers = append(servers, newProcess(t, name, filepath.Join(g.dir, name+".log"), func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), natsArguments+"="+strings.Join(args, " "))
			return cmd
		}))
	}
	for i := range size {
		mine := append(slices.Clone(urls[i%n:]), urls[:i%n]...)
		lines = append(lines, fmt.Sprintf("cluster: {engine: nats, node: %s, url: %q}", letterOf(i), strings.Join(mine, ",")))
	}
	return servers, lines
}

func redisServer(t *testing.T, g *ground, more ...string) (servers []*process, lines []string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("there is no redis-server, which make test installs: install the package of that name")
	}
	address := freeAddress(t)
	host, port, _ := strings.Cut(address, ":")
	args := append([]string{"--bind", host, "--port", port, "--dir", g.dir, "--save", ""}, more...)
	for i := range size {
		lines = append(lines, fmt.Sprintf("cluster: {engine: redis, node: %s, url: %q}", letterOf(i), "redis://"+address))
	}
	p := newProcess(t, "redis", filepath.Join(g.dir, "redis.log"), func() *exec.Cmd { return exec.Command(path, args...) })
	p.address = address
	return []*process{p}, lines
}

// emptyRedis removes all that a Redis keeps.
func emptyRedis(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(coretest.Patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("FLUSHALL\r\n")); err != nil {
		return err
	}
	const done = "+OK\r\n"
	answer := make([]byte, len(done))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != done {
		return fmt.Errorf("it answers %q", answer)
	}
	return nil
}

// natsArguments is a variable of the environment in which this program is a nats-server with these
// arguments.
const natsArguments = "POLYWIRE_SOAK_NATS"

func TestMain(m *testing.M) {
	if args := os.Getenv(natsArguments); args != "" {
		if err := serveNATS(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveNATS(args []string) error {
	none := func() {}
	o, err := natsserver.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ContinueOnError), args, none, none, none)
	if err != nil {
		return err
	}
	s, err := natsserver.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	if err := natsserver.Run(s); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}
