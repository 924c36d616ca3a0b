package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

var (
	clusterTime = flag.Duration("cluster", 25*time.Second, "how long brokers of a cluster are killed, stopped and ended")
	clusterSeed = flag.Uint64("clusterseed", 0, "which of them, and when: what the test prints; 0 is any")
)

const (
	// callPatience is how long a call may take: its time-out, and then what a busy machine adds.
	callPatience = 2*time.Second + 15*time.Second
	// talkPace, askPace and tellPace are the pauses of clients.
	talkPace, askPace, tellPace = 100 * time.Millisecond, 100 * time.Millisecond, 10 * time.Second
	// rest is how long nothing is done to a cluster that has healed.
	rest = 2 * time.Second
	// shortAway is how long a node is away at most; after longAway it has lost its channels.
	shortAway, longAway = 5 * time.Second, 15 * time.Second
	// quitTime is how long a node may take to end: its drain.timeout, and then what a busy machine adds.
	quitTime = time.Minute

	// shared is a service that clients of all nodes answer; nearest is the node of who asks.
	shared  = "shared/m"
	nearest = -1
)

// crowd are the nodes of a cluster and their clients.
type crowd struct {
	nodes    []*node
	ledger   *ledger
	routes   []route
	channels []string
	random   *rand.Rand
	bag      []fault // what is done next
}

// TestCluster has clients of all formats talk, call and own channels through three brokers while
// these are killed, ended and stopped, one at a time. What is said and heard is accounted for.
func TestCluster(t *testing.T) {
	seed := *clusterSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-clusterseed=%d", seed)
	c := &crowd{
		nodes: newNodes(t, "a", "b", "c"), ledger: newLedger(callPatience), channels: contested(3),
		random: rand.New(rand.NewPCG(seed, 0)),
	}
	for _, n := range c.nodes {
		c.ledger.open(n.number, quit)
		c.begin(t, n)
	}
	c.wait(t, "the cluster begins", func() string { return c.ill(t) })
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	c.enter(ctx, &all)
	all.Go(func() {
		for ctx.Err() == nil {
			c.ledger.late()
			pause(ctx, time.Second)
		}
	})
	c.settle(t)
	for end := time.Now().Add(*clusterTime); time.Now().Before(end); {
		pause(ctx, time.Duration(c.random.Int64N(int64(rest))))
		for range 1 + c.random.IntN(2) {
			c.disturb(t)
			c.wait(t, "the cluster heals", func() string { return c.ill(t) })
		}
		c.settle(t)
		if troubles, _ := c.ledger.found(); len(troubles) > 0 {
			break
		}
	}
	pause(ctx, rest)
	c.ledger.rest()
	c.wait(t, "everything has arrived", c.ledger.arrived)
	cancel()
	all.Wait()
	c.leave(t)
	troubles, n := c.ledger.found()
	for _, text := range troubles {
		t.Error(text)
	}
	if n > len(troubles) {
		t.Errorf("and %d more", n-len(troubles))
	}
	t.Logf("%v", c.ledger.counted())
}

func serviceOf(name string) string { return name + "/m" }

// begin starts a node.
func (c *crowd) begin(t *testing.T, n *node) {
	t.Helper()
	if err := n.start(func(err error) { c.ledger.report("%v", err) }); err != nil {
		t.Fatal(err)
	}
}

// wait waits until nothing is missing any more.
func (c *crowd) wait(t *testing.T, what string, missing func() string) {
	t.Helper()
	last := ""
	for deadline, pause := coretest.Deadline(), time.Millisecond; ; time.Sleep(pause) {
		if last = missing(); last == "" {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
	troubles, _ := c.ledger.found()
	for _, text := range troubles {
		t.Error(text)
	}
	t.Fatalf("never: %s: %s", what, last)
}

// ill returns which node is not well; "" if all are.
func (c *crowd) ill(t *testing.T) string {
	t.Helper()
	for _, n := range c.nodes {
		if why := n.ill(t, len(c.nodes)-1); why != "" {
			return why
		}
	}
	return ""
}

// enter starts all clients; they leave when ctx ends.
func (c *crowd) enter(ctx context.Context, all *sync.WaitGroup) {
	var services []service
	var topics, askers []string
	for _, channel := range c.channels {
		topics = append(topics, topicOf(channel))
	}
	for _, n := range c.nodes {
		for _, f := range formats {
			topics = append(topics, topicOf("talker-"+n.letter+"-"+f))
			services = append(services, service{name: serviceOf("server-" + n.letter + "-" + f), node: n.number, owned: f == "wubsub"})
			askers = append(askers, "asker-"+n.letter+"-"+f)
		}
	}
	services = append(services, service{name: shared, node: nearest})
	for _, name := range askers {
		for _, s := range services {
			c.routes = append(c.routes, route{name, s.name})
		}
	}
	for _, n := range c.nodes {
		for _, f := range formats {
			enter := func(role string, p part, pace time.Duration) {
				m := &member{
					ledger: c.ledger, name: role + "-" + n.letter + "-" + f, node: n.number, url: n.urls[f], dialect: dialects[f], part: p, pace: pace,
				}
				switch role {
				case "talker":
					c.ledger.publishes(m.name, m.node, f == "wubsub")
				case "hearer":
					c.ledger.hears(m.name, m.node)
				}
				all.Go(func() { m.run(ctx) })
			}
			enter("talker", new(talker), talkPace)
			enter("hearer", &hearer{topics}, tellPace)
			answers := []string{serviceOf("server-" + n.letter + "-" + f)}
			if f != "wubsub" { // whose services have one owner
				answers = append(answers, shared)
			}
			enter("server", &server{services: answers}, insist)
			enter("asker", &asker{services: services}, askPace)
		}
		for _, which := range []string{"1", "2"} {
			one := &contender{ledger: c.ledger, name: "contender-" + n.letter + which, node: n.number, url: n.urls["wubsub"], channels: c.channels}
			all.Go(func() { one.run(ctx) })
		}
	}
}

// disturb does something to one node.
func (c *crowd) disturb(t *testing.T) {
	t.Helper()
	if len(c.bag) == 0 {
		c.bag = []fault{killed, stopped, quit, killed}
		c.random.Shuffle(len(c.bag), func(i, j int) { c.bag[i], c.bag[j] = c.bag[j], c.bag[i] })
	}
	what := c.bag[0]
	c.bag = c.bag[1:]
	n := c.nodes[c.random.IntN(len(c.nodes))]
	away := time.Duration(c.random.Int64N(int64(shortAway)))
	if c.random.IntN(2) == 0 && what != stopped {
		away = 0
	} else if c.random.IntN(4) == 0 && what == stopped && *clusterTime >= time.Minute {
		away += longAway
	}
	c.ledger.open(n.number, what)
	c.wait(t, "everything has arrived", c.ledger.arrived)
	time.Sleep(time.Duration(c.random.Int64N(int64(200 * time.Millisecond))))
	t.Logf("%s node %s is %v for %v", time.Now().UTC().Format("15:04:05.000"), n.letter, what, away)
	switch what {
	case killed:
		n.end(t, syscall.SIGKILL)
	case quit:
		c.quit(t, n)
	case stopped:
		c.ledger.stop(n.number)
		n.signal(t, syscall.SIGSTOP)
		time.Sleep(away)
		n.signal(t, syscall.SIGCONT)
		c.ledger.goOn(n.number)
		return
	}
	time.Sleep(away)
	c.begin(t, n)
}

// quit ends a node as an operator does.
func (c *crowd) quit(t *testing.T, n *node) {
	t.Helper()
	began := time.Now()
	if code := n.end(t, syscall.SIGTERM); code != 0 {
		c.ledger.report("node %s ended with %d", n.letter, code)
	}
	if took := time.Since(began); took > quitTime {
		c.ledger.report("node %s needed %v to end", n.letter, took)
	}
}

// settle waits until all clients reach each other, and ends the window.
func (c *crowd) settle(t *testing.T) {
	t.Helper()
	p := c.ledger.prove(c.routes, c.channels)
	c.wait(t, "all clients reach each other", p.missing)
	t.Logf("%s all is well; no channel found a new owner for %v", time.Now().UTC().Format("15:04:05.000"), c.ledger.ownerless().Round(time.Millisecond))
	c.ledger.rest()
}

// leave checks that nothing is left of the clients, and ends the nodes.
func (c *crowd) leave(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		for _, metric := range []string{"polywire_calls_outstanding", "polywire_connections_open", "polywire_topics"} {
			coretest.Eventually(t, metric+" is 0 at node "+n.letter, func() bool {
				page, _, err := get(n.admin + "/metrics")
				return err == nil && total(t, page, metric) == 0
			})
		}
	}
	for _, n := range c.nodes {
		c.quit(t, n)
		for _, line := range n.complaints(t) {
			c.ledger.report("node %s complained: %s", n.letter, line)
		}
	}
}
