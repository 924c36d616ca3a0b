package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// joinTimeout is how long nodes may need until they are one cluster.
const joinTimeout = time.Minute

// engine is what joins the nodes of a cluster.
type engine struct {
	name string
	// plan returns, for each node, its configuration of the cluster, and how to start what the nodes
	// need besides; nil for nothing. dir is for its files.
	plan func(dir string, nodes []string) (lines []string, beside func(ctx context.Context, core int) (*process, error), err error)
}

// The engines, by name.
const (
	engineEmbedded = "embedded NATS"
	engineNATS     = "NATS"
	engineRedis    = "Redis"
)

// engines returns what can join brokers. peers is the folder of nats-server.
func engines(peers string) []engine {
	return []engine{
		{engineEmbedded, planEmbedded},
		{engineNATS, func(dir string, nodes []string) ([]string, func(context.Context, int) (*process, error), error) {
			addr, err := freePort()
			cmd := func() *exec.Cmd {
				return exec.Command(filepath.Join(peers, "nats"), "-client", addr.String(), "-store", filepath.Join(dir, "jetstream"))
			}
			return planExternal("nats", "nats://"+addr.String(), nodes), besides(dir, engineNATS, addr, cmd), err
		}},
		{engineRedis, func(dir string, nodes []string) ([]string, func(context.Context, int) (*process, error), error) {
			addr, err := freePort()
			cmd := func() *exec.Cmd {
				return exec.Command("redis-server", "--bind", addr.Addr().String(), "--port", fmt.Sprint(addr.Port()), "--save", "", "--dir", dir)
			}
			return planExternal("redis", "redis://"+addr.String(), nodes), besides(dir, engineRedis, addr, cmd), err
		}},
	}
}

func planEmbedded(dir string, nodes []string) ([]string, func(context.Context, int) (*process, error), error) {
	var listen, routes, lines []string
	for range nodes {
		addr, err := freePort()
		if err != nil {
			return nil, nil, err
		}
		listen = append(listen, addr.String())
		routes = append(routes, fmt.Sprintf("%q", "nats://"+addr.String()))
	}
	for i, node := range nodes {
		lines = append(lines, fmt.Sprintf("cluster: { engine: nats, node: %s, embedded: { listen: %q, routes: [%s], store_dir: %q } }\n",
			node, listen[i], strings.Join(routes, ", "), filepath.Join(dir, "data-"+node)))
	}
	return lines, nil, nil
}

func planExternal(engine, url string, nodes []string) (lines []string) {
	for _, node := range nodes {
		lines = append(lines, fmt.Sprintf("cluster: { engine: %s, node: %s, url: %q }\n", engine, node, url))
	}
	return lines
}

// besides returns how to start a server that listens at addr.
func besides(dir, name string, addr netip.AddrPort, cmd func() *exec.Cmd) func(context.Context, int) (*process, error) {
	s := server{name, func(string) (*exec.Cmd, netip.AddrPort, error) { return cmd(), addr, nil }}
	return func(ctx context.Context, core int) (*process, error) {
		p, _, err := s.start(ctx, dir, core)
		return p, err
	}
}

// nodes are brokers that may be one cluster, and what joins them. All are processes of their own on
// one core.
type nodes struct {
	servers []server
	beside  func(ctx context.Context, core int) (*process, error)
	core    int
	dir     string

	// What is started, in the order of servers; nil and no address before.
	brokers []*process
	at      []netip.AddrPort
	admin   []netip.AddrPort
	engine  *process // nil if there is none
}

// newNodes plans n brokers with the given formats, which e joins; without an engine they are alone.
// Nothing is started.
func (b *bench) newNodes(broker string, e *engine, n int, formats ...format) (*nodes, error) {
	dir, err := os.MkdirTemp(b.dir, "nodes-")
	if err != nil {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	c := &nodes{core: b.core, dir: dir, brokers: make([]*process, n), at: make([]netip.AddrPort, n), admin: make([]netip.AddrPort, n)}
	var names []string
	for i := range n {
		names = append(names, string(rune('a'+i)))
	}
	lines := make([]string, n)
	if e != nil {
		if lines, c.beside, err = e.plan(dir, names); err != nil {
			return nil, fmt.Errorf("planning %s: %w", e.name, err)
		}
	}
	for i, name := range names {
		if c.admin[i], err = freePort(); err != nil {
			return nil, err
		}
		c.servers = append(c.servers, server{name, serveAt(broker, c.admin[i], lines[i], formats...)})
	}
	return c, nil
}

// startNodes starts n brokers and returns when they are one cluster.
func (b *bench) startNodes(ctx context.Context, broker string, e *engine, n int, formats ...format) (*nodes, error) {
	c, err := b.newNodes(broker, e, n, formats...)
	if err != nil {
		return nil, err
	}
	err = c.startEngine(ctx)
	for i := 0; i < n && err == nil; i++ {
		err = c.start(ctx, i)
	}
	for i := 0; i < n && err == nil; i++ {
		err = c.ready(ctx, i)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// startEngine starts what joins the brokers, if that is a process of its own.
func (c *nodes) startEngine(ctx context.Context) (err error) {
	if c.beside != nil {
		c.engine, err = c.beside(ctx, c.core)
	}
	return err
}

// start starts a broker and returns when it accepts clients.
func (c *nodes) start(ctx context.Context, i int) (err error) {
	dir := filepath.Join(c.dir, c.servers[i].name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	c.brokers[i], c.at[i], err = c.servers[i].start(ctx, dir, c.core)
	return err
}

// ready returns when a broker says that it is well.
func (c *nodes) ready(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		said, err := c.readiness(ctx, i)
		if err == nil && said == "ok" {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("node %s is not ready (its log is in %s): %w", c.servers[i].name, c.dir, errors.Join(err, errors.New(said)))
		}
	}
}

func (c *nodes) readiness(ctx context.Context, i int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin[i].String()+"/readyz", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return strings.TrimSpace(string(text)), err
}

// stop ends all processes.
func (c *nodes) stop() {
	for _, p := range append(c.brokers, c.engine) {
		if p != nil {
			p.stop()
		}
	}
}

// processes are all that run.
func (c *nodes) processes() (all []*process) {
	for _, p := range append(slices.Clip(c.brokers), c.engine) {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// spent returns the processor time of processes, user and system, so far.
func spent(all []*process) (sum time.Duration, err error) {
	for _, p := range all {
		used, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
