package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

var (
	clusterTime   = flag.Duration("cluster", 10*time.Second, "how long faults are done to the cluster of each engine")
	clusterSeed   = flag.Uint64("clusterseed", 0, "which faults, and when: what the test prints; 0 is any")
	clusterFaults = flag.String("clusterfaults", "", "the only faults that are done, with commas between them: "+strings.Join(faultNames, ", "))
)

const (
	// callPatience is how long a call may take: its time-out, or until its answerer is missed, and
	// then what a busy machine adds.
	callPatience = callTimeout + 15*time.Second
	// talkPace, askPace and tellPace are the pauses of clients.
	talkPace, askPace, tellPace = 100 * time.Millisecond, 100 * time.Millisecond, 10 * time.Second
	// holding is how long an answer takes that is to be on its way when its node dies.
	holding = 1500 * time.Millisecond
	// A fault comes quick after the one before it, or up to slow.
	quick, slow = 3 * time.Second, 5 * time.Second
	// rest is how long nothing is done to a cluster that is well, after each restAfter faults.
	rest, restAfter = 2 * time.Second, 8
	// shortAway is how long a fault lasts at most; after longAway a node has lost its channels.
	shortAway, longAway = 5 * time.Second, 22 * time.Second
	// atOnceAway is how many faults there may be at once.
	atOnceAway = 2
	// steady is for how long nodes must have been well before a fault counts as undone: what was asked
	// before it may fail so late, and end a connection. missed is after which time a node that died is
	// missed for sure.
	steady, missed = 3 * time.Second, 6 * time.Second
	// quitTime is how long a node may take to end: its drain.timeout, and then what a busy machine adds.
	quitTime = time.Minute

	// shared is a service that clients of all nodes answer; nearest is the node of who asks.
	shared  = "shared/m"
	nearest = -1
)

// crowd are the nodes of a cluster and their clients.
type crowd struct {
	engine   engine
	spaces   *spaces // nil if all run here
	servers  []*process
	nodes    []*node
	ledger   *ledger
	channels []string
	random   *rand.Rand
	bag      []fault // what is done next
	active   []*activeFault
	looked   time.Time               // when it was looked last whether nodes are well
	recovery map[fault]time.Duration // how long that took at most, after it was undone
}

// activeFault is an incident of which the nodes have not recovered yet.
type activeFault struct {
	*incident
	until  time.Time // when it is to be undone, or was
	undone bool
	joined []int64   // how often its nodes have joined the cluster,
	since  time.Time // and since when they are well and that has not changed
	why    string    // what is wrong with one of them
}

// TestCluster has clients of all formats talk, call and own channels through three brokers, for each
// engine, while these, what joins them and what is between them is killed and stopped and cut. What is
// said and heard is accounted for.
func TestCluster(t *testing.T) {
	program := buildBroker(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { playCluster(t, e, program) })
	}
}

func playCluster(t *testing.T, e engine, program string) {
	seed := *clusterSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-clusterseed=%d", seed)
	if *clusterFaults != "" {
		only := strings.Split(*clusterFaults, ",")
		for _, name := range only {
			if !slices.Contains(faultNames, name) {
				t.Fatalf("-clusterfaults: %q is none of %s", name, strings.Join(faultNames, ", "))
			}
		}
		e.faults = slices.DeleteFunc(slices.Clone(e.faults), func(f fault) bool { return !slices.Contains(only, f.String()) })
	}
	if len(e.faults) == 0 {
		t.Skip("none of the faults of -clusterfaults")
	}
	channels := contested(3)
	c := &crowd{engine: e, ledger: newLedger(callPatience, channels...), channels: channels, random: rand.New(rand.NewPCG(seed, 0)), recovery: make(map[fault]time.Duration)}
	g := &ground{dir: t.TempDir()}
	if e.spaces {
		c.spaces = newSpaces(t, size)
	}
	servers, lines := e.begin(t, g)
	c.servers = servers
	c.nodes = newNodes(t, g, program, lines, c.spaces)
	for _, s := range c.servers {
		s.start(t, c.ledger.report)
	}
	members := c.members()
	for _, n := range c.nodes {
		c.begin(t, &activeFault{incident: &incident{what: quit, node: n.number, weight: 1}, undone: true, until: time.Now()})
		n.start(t, c.ledger.report)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	c.wait(t, "the cluster begins", func() string {
		for _, n := range c.nodes {
			if s := n.look(t); s.why != "" {
				return s.why
			}
		}
		return ""
	})
	for _, run := range members {
		all.Go(func() { run(ctx) })
	}
	all.Go(func() {
		for ctx.Err() == nil {
			c.ledger.late()
			c.ledger.sample()
			pause(ctx, time.Second)
		}
	})
	c.settle(ctx, t)
	end, next := time.Now().Add(*clusterTime), time.Now()
	for done := 1; time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if troubles, _ := c.ledger.found(); len(troubles) > 0 {
			break
		}
		c.look(t)
		if time.Now().Before(next) || !c.disturb(t) {
			continue
		}
		next = time.Now().Add(quick + time.Duration(c.random.Int64N(int64(slow-quick))))
		if done++; done%restAfter == 0 {
			c.settle(ctx, t)
		}
	}
	c.settle(ctx, t)
	c.ledger.end()
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
	t.Logf("%d of 100 ways were judged strictly at any time, on average; all was well again after at most %v", c.ledger.strict(), c.recovery)
	t.Logf("%v; no channel found a new owner for %v; a call waited %v for an answerer that was gone (%s)", c.ledger.counted(),
		c.ledger.unowned.Round(time.Millisecond), c.ledger.longest, c.ledger.slowest)
}

func serviceOf(name string) string { return name + "/m" }
func heldBy(letter string) string  { return "held-" + letter + "/m" }

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

// members returns all clients, which the ledger knows then. They leave when their context ends.
func (c *crowd) members() (all []func(context.Context)) {
	var services, held []service
	var topics []string
	for _, channel := range append(slices.Clone(c.channels), longOwned) {
		topics = append(topics, topicOf(channel))
	}
	for _, n := range c.nodes {
		for _, f := range formats {
			topics = append(topics, topicOf("talker-"+n.letter+"-"+f))
			services = append(services, service{name: serviceOf("server-" + n.letter + "-" + f), node: n.number, owned: f == "wubsub"})
		}
		held = append(held, service{name: heldBy(n.letter), node: n.number, held: true})
	}
	services = append(services, service{name: shared, node: nearest})
	for _, n := range c.nodes {
		enter := func(role, format, endpoint string, p part, pace time.Duration) {
			m := &member{
				ledger: c.ledger, name: role + "-" + n.letter + "-" + format, node: n.number, url: n.urls[endpoint], by: n.by,
				dialect: dialects[format], part: p, pace: pace,
			}
			switch p := p.(type) {
			case *talker:
				c.ledger.publishes(m.name, m.node, format == "wubsub")
			case *hearer:
				c.ledger.hears(m.name, m.node)
			case *asker:
				for _, s := range p.services {
					c.ledger.asks(m.name, m.node, s)
				}
			}
			all = append(all, m.run)
		}
		for _, f := range formats {
			enter("talker", f, f, new(talker), talkPace)
			enter("hearer", f, f, &hearer{topics}, tellPace)
			answers := []string{serviceOf("server-" + n.letter + "-" + f)}
			if f != "wubsub" { // whose services have one owner
				answers = append(answers, shared)
			}
			enter("server", f, f, &server{services: answers}, insist)
			enter("asker", f, f, &asker{services: services}, askPace)
		}
		enter("holder", "wsify", patient, &server{services: []string{heldBy(n.letter)}, takes: holding}, insist)
		enter("waiter", "wsify", patient, &asker{services: held}, askPace)
		for which, channels := range map[string][]string{"1": c.channels, "2": c.channels, "3": {longOwned}} {
			one := &contender{
				ledger: c.ledger, name: "contender-" + n.letter + which, node: n.number, url: n.urls["wubsub"], by: n.by, channels: channels,
			}
			all = append(all, one.run)
		}
	}
	return all
}

// begin tells the ledger of a fault, just before it is done.
func (c *crowd) begin(t *testing.T, i *activeFault) {
	t.Helper()
	c.ledger.open(i.incident)
	c.active = append(c.active, i)
}

// look undoes what is to be undone, and finds what has recovered.
func (c *crowd) look(t *testing.T) {
	t.Helper()
	for _, i := range c.active {
		if !i.undone && time.Now().After(i.until) {
			c.undo(t, i)
		}
	}
	if time.Since(c.looked) < 250*time.Millisecond {
		return
	}
	c.looked = time.Now()
	c.active = slices.DeleteFunc(c.active, func(i *activeFault) bool {
		recovered := i.undone && c.areWell(t, i)
		if recovered {
			c.ledger.recovered(i.incident)
			c.recovery[i.what] = max(c.recovery[i.what], time.Since(i.until).Round(100*time.Millisecond))
		}
		return recovered
	})
	c.ledger.settle()
}

// areWell reports whether the nodes of a fault are well, and have been so for long enough. While
// something else is done to one of them that cannot be told.
func (c *crowd) areWell(t *testing.T, i *activeFault) bool {
	t.Helper()
	var joined []int64
	for n := range c.nodes {
		mine := slices.Contains(i.nodes(), n)
		if !mine && c.isCut(n, n) {
			continue
		}
		if mine && slices.ContainsFunc(c.active, func(other *activeFault) bool { return !other.undone && slices.Contains(other.nodes(), n) }) {
			i.why, i.joined = c.nodes[n].name+" is not left alone", nil
			return false
		}
		s := c.nodes[n].look(t)
		if mine && s.why != "" {
			i.why, i.joined = s.why, nil
			return false
		}
		if mine {
			joined = append(joined, s.joined)
		}
		// A node that has come back is seen twice until the one before is missed. Whom they see does not
		// tell that while others come and go.
		if len(c.active) == 1 && s.others != size-1 || len(c.active) > 1 && time.Since(i.until) < missed {
			i.why = fmt.Sprintf("%s sees %d nodes", c.nodes[n].name, s.others)
			return false
		}
	}
	if !slices.Equal(joined, i.joined) {
		i.joined, i.since = joined, time.Now()
	}
	return time.Since(i.since) > steady
}

// isCut reports whether something is done between two nodes, or to a node itself.
func (c *crowd) isCut(n, other int) bool {
	return slices.ContainsFunc(c.active, func(i *activeFault) bool { return !i.undone && i.cuts(n, other) })
}

// disturb does something, unless there is enough already.
func (c *crowd) disturb(t *testing.T) bool {
	t.Helper()
	i := c.next()
	if i == nil {
		return false
	}
	lasts := time.Duration(c.random.Int64N(int64(shortAway)))
	switch ends := i.what == killed || i.what == quit || i.what == serverKilled; {
	case i.what == emptied, ends && c.random.IntN(2) == 0:
		lasts = 0
	case c.random.IntN(5) == 0 && *clusterTime >= time.Minute:
		lasts += longAway
	}
	c.begin(t, i)
	c.wait(t, "everything has arrived", c.ledger.arrived)
	time.Sleep(time.Duration(c.random.Int64N(int64(200 * time.Millisecond))))
	t.Logf("%s %v, for %v", now(), i.incident, lasts)
	c.do(t, i)
	i.until = time.Now().Add(lasts)
	return true
}

// next returns what is to be done next; nil if there is enough.
func (c *crowd) next() *activeFault {
	away := slices.DeleteFunc(slices.Clone(c.active), func(i *activeFault) bool { return i.undone })
	if len(away) >= atOnceAway {
		return nil
	}
	if len(c.bag) == 0 {
		c.bag = slices.Clone(c.engine.faults)
		c.random.Shuffle(len(c.bag), func(i, j int) { c.bag[i], c.bag[j] = c.bag[j], c.bag[i] })
	}
	for at, what := range c.bag {
		w := c.incident(what)
		// Nothing is done to what is away already.
		if !slices.ContainsFunc(away, func(other *activeFault) bool {
			return w.ofServer() && other.ofServer() && w.node == other.node || w.ofNode() && other.ofNode() && w.node == other.node ||
				w.ofLink() && other.ofLink()
		}) {
			c.bag = slices.Delete(c.bag, at, at+1)
			return &activeFault{incident: w}
		}
	}
	return nil
}

// incident returns one of a kind.
func (c *crowd) incident(what fault) *incident {
	w := &incident{what: what, node: c.random.IntN(size)}
	w.other = (w.node + 1 + c.random.IntN(size-1)) % size
	switch {
	case w.ofServer():
		w.node = c.random.IntN(len(c.servers))
		w.weight = 2
		if c.engine.serversVote {
			w.weight = 1
		}
	case w.ofLink():
		w.weight = 2
	case c.engine.nodesVote:
		w.weight = 1
	}
	return w
}

// do does it.
func (c *crowd) do(t *testing.T, i *activeFault) {
	t.Helper()
	switch i.what {
	case killed:
		c.nodes[i.node].end(t, syscall.SIGKILL)
	case quit:
		c.quit(t, c.nodes[i.node])
	case stopped:
		c.ledger.stop(i.node)
		c.nodes[i.node].signal(t, syscall.SIGSTOP)
	case serverKilled:
		c.servers[i.node].end(t, syscall.SIGKILL)
	case serverStopped:
		c.servers[i.node].signal(t, syscall.SIGSTOP)
	case emptied:
		c.wait(t, "Redis is emptied", func() string { // it may have just begun to start
			if err := emptyRedis(c.servers[i.node].address); err != nil {
				return err.Error()
			}
			return ""
		})
	case isolated:
		c.spaces.isolate(t, i.node, true)
	case parted:
		c.spaces.mute(t, i.node, i.other, true)
		c.spaces.mute(t, i.other, i.node, true)
	case muted:
		c.spaces.mute(t, i.node, i.other, true)
	}
}

// undo undoes it.
func (c *crowd) undo(t *testing.T, i *activeFault) {
	t.Helper()
	switch i.what {
	case killed, quit:
		c.nodes[i.node].start(t, c.ledger.report)
	case stopped:
		c.nodes[i.node].signal(t, syscall.SIGCONT)
		c.ledger.goOn(i.node)
	case serverKilled:
		c.servers[i.node].start(t, c.ledger.report)
	case serverStopped:
		c.servers[i.node].signal(t, syscall.SIGCONT)
	case isolated:
		c.spaces.isolate(t, i.node, false)
	case parted:
		c.spaces.mute(t, i.node, i.other, false)
		c.spaces.mute(t, i.other, i.node, false)
	case muted:
		c.spaces.mute(t, i.node, i.other, false)
	}
	i.undone, i.until = true, time.Now()
}

// quit ends a node as an operator does.
func (c *crowd) quit(t *testing.T, n *node) {
	t.Helper()
	began := time.Now()
	if code := n.end(t, syscall.SIGTERM); code != 0 {
		c.ledger.report("%s ended with %d", n.name, code)
	}
	if took := time.Since(began); took > quitTime {
		c.ledger.report("%s needed %v to end", n.name, took)
	}
}

// settle waits until all is well, lets it be so for a while, and then until everything has arrived.
func (c *crowd) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	c.wait(t, "all clients reach each other", func() string {
		c.look(t)
		left := c.ledger.unproven()
		for _, i := range c.active {
			left += "; " + i.why
		}
		return left
	})
	t.Logf("%s all is well", now())
	pause(ctx, rest)
	c.ledger.mark()
	c.wait(t, "everything has arrived", c.ledger.arrived)
}

// leave checks that nothing is left of the clients, and ends the nodes.
func (c *crowd) leave(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		for _, metric := range []string{"polywire_calls_outstanding", "polywire_connections_open", "polywire_topics"} {
			coretest.Eventually(t, fmt.Sprintf("%s is 0 at %s", metric, n.name), func() bool {
				page, _, err := getBy(&n.http, n.admin+"/metrics")
				return err == nil && total(t, page, metric) == 0
			})
		}
	}
	for _, n := range c.nodes {
		c.quit(t, n)
		for _, line := range n.complaints(t) {
			c.ledger.report("%s complained: %s", n.name, line)
		}
	}
}
