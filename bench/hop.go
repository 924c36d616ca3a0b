package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"
)

// The targets of a hop between two nodes, relative to the base of a comparison, in the
// same round.
const (
	targetHopFanOut = 1.25 // maximum of the CPU per delivery to targetSubscribers
	targetHopRate   = 0.70 // minimum of the messages per second to one subscriber
	targetHopCall   = 2.5  // maximum of the CPU per call
	targetHopJoin   = 5.0  // maximum of the seconds until a node with many topics is heard
)

// hopPatience is how long a message may take from node to node while a load begins.
const hopPatience = 2 * time.Second

// hopFigure is one measured window.
type hopFigure struct {
	// CPU is the processor time of all servers per unit in microseconds, without what they use when
	// idle; Roles are its parts: the node of the publisher or caller, the other node, and the engine if
	// it is a process of its own.
	CPU   float64
	Roles [3]float64
	// Rate is units per second by the clock, P50 the median time of one in microseconds, and
	// LoadBusy as in cost.
	Rate, P50, LoadBusy float64
}

// hopCase is a comparison: the same load on several beds, and on the first of them.
type hopCase struct {
	name, unit string
	// on says on which beds it is measured; the first of them is the base.
	on      []string
	measure func(context.Context, *bed) (hopFigure, error)
	// mostCPU and leastRate are targets for the ratios of embedded NATS and NATS; 0 for none.
	mostCPU, leastRate float64
}

// bed is servers that are started anew in each round, for all cases.
type bed struct {
	name string
	// roles are the processes by their role; see hopFigure.
	roles [][]*process
	// pub is where publishers and callers connect, sub where subscribers and answerers do.
	pub, sub netip.AddrPort
	// stream is how one subscriber is spoken to.
	stream streamDialect
	stop   func()
	// idle is the part of a processor that each role uses without any load.
	idle [3]float64
}

// The beds that are no engines.
const (
	bedTCP       = "plain NATS, TCP"
	bedWebSocket = "plain NATS, WebSocket"
	bedAlone     = "one node"
)

// hopRow is a case on one bed: medians over the rounds.
type hopRow struct {
	of *hopCase
	hopFigure
	name                string
	cpuRatio, rateRatio float64
}

// runHop measures and prints what a hop between two nodes costs.
func runHop(ctx context.Context, p plan, broker, peers string, only *regexp.Regexp) error {
	return p.inFolder(func(b bench) error {
		h := hop{bench: b, broker: broker, peers: peers, only: only}
		rows, err := h.rows(ctx)
		if err != nil {
			return err
		}
		topics, err := h.topicRows(ctx)
		if err != nil {
			return err
		}
		return printHop(os.Stdout, rows, topics)
	})
}

// hop is this part of the benchmark.
type hop struct {
	bench
	broker, peers string
	only          *regexp.Regexp
}

// cases returns the comparisons that are to be measured.
func (h *hop) cases() []hopCase {
	onNodes := []string{bedAlone, engineEmbedded, engineNATS, engineRedis}
	var all []hopCase
	for _, protocol := range []string{"vws", "wsify"} {
		for _, n := range h.plan.inFlight {
			all = append(all, hopCase{
				name: fmt.Sprintf("%s to %d subscribers, %d in flight", protocol, targetSubscribers, n), unit: "delivery", on: onNodes,
				measure: func(ctx context.Context, b *bed) (hopFigure, error) { return h.fanOut(ctx, b, formatOf(protocol), n) },
				mostCPU: targetHopFanOut,
			})
		}
	}
	for _, ahead := range []int{streamAhead, 1} {
		c := hopCase{
			name: fmt.Sprintf("one subscriber, %d in flight", ahead), unit: "message", on: append([]string{bedTCP, bedWebSocket}, onNodes...),
			measure: func(ctx context.Context, b *bed) (hopFigure, error) { return h.oneSubscriber(ctx, b, ahead) },
		}
		if ahead == streamAhead {
			c.leastRate = targetHopRate
		}
		all = append(all, c)
	}
	for _, contender := range callContenders(h.broker, h.peers) {
		if contender.target == targetRelayed {
			all = append(all, hopCase{
				name: contender.name, unit: "call", on: onNodes,
				measure: func(ctx context.Context, b *bed) (hopFigure, error) { return h.relayed(ctx, b, contender) },
				mostCPU: targetHopCall,
			})
		}
	}
	for i := range all {
		c := &all[i]
		base, others := c.on[0], c.on[1:]
		c.on = []string{base}
		for _, bed := range others {
			if h.only.MatchString(c.name + ", " + bed) {
				c.on = append(c.on, bed)
			}
		}
	}
	return slices.DeleteFunc(all, func(c hopCase) bool { return len(c.on) == 1 })
}

// beds returns how to start each bed.
func (h *hop) beds() (names []string, start map[string]func(context.Context) (*bed, error)) {
	start = make(map[string]func(context.Context) (*bed, error))
	add := func(name string, f func(context.Context) (*bed, error)) {
		names = append(names, name)
		start[name] = f
	}
	add(bedTCP, func(ctx context.Context) (*bed, error) { return h.plainNATS(ctx, bedTCP, natsStream(true)) })
	add(bedWebSocket, func(ctx context.Context) (*bed, error) { return h.plainNATS(ctx, bedWebSocket, natsStream(false)) })
	add(bedAlone, func(ctx context.Context) (*bed, error) { return h.brokers(ctx, bedAlone, nil) })
	for _, e := range engines(h.peers) {
		add(e.name, func(ctx context.Context) (*bed, error) { return h.brokers(ctx, e.name, &e) })
	}
	return names, start
}

// rows measures all cases, round after round.
func (h *hop) rows(ctx context.Context) ([]hopRow, error) {
	cases := h.cases()
	names, start := h.beds()
	figures := make([]map[string][]hopFigure, len(cases)) // by bed
	for i := range figures {
		figures[i] = make(map[string][]hopFigure)
	}
	for round := range h.plan.rounds {
		for _, name := range names {
			if !slices.ContainsFunc(cases, func(c hopCase) bool { return slices.Contains(c.on, name) }) {
				continue
			}
			b, err := start[name](ctx)
			if err != nil {
				return nil, fmt.Errorf("starting %s: %w", name, err)
			}
			if err := b.rest(ctx); err != nil {
				b.stop()
				return nil, fmt.Errorf("watching %s: %w", name, err)
			}
			fmt.Printf("round %d  %s: idle %.1f %% of a processor\n", round+1, name, 100*(b.idle[0]+b.idle[1]+b.idle[2]))
			for i, c := range cases {
				if !slices.Contains(c.on, name) {
					continue
				}
				f, err := c.measure(ctx, b)
				if err != nil {
					b.stop()
					return nil, fmt.Errorf("measuring %s, %s: %w", c.name, name, err)
				}
				figures[i][name] = append(figures[i][name], f)
				fmt.Printf("round %d  %s, %s: %.2f µs CPU/%s %.2f  %.0f/s  p50 %.0f µs  load busy %.0f %%\n",
					round+1, c.name, name, f.CPU, c.unit, f.Roles, f.Rate, f.P50, f.LoadBusy*100)
			}
			b.stop()
		}
	}
	var rows []hopRow
	for i := range cases {
		for _, name := range cases[i].on {
			rows = append(rows, cases[i].row(name, figures[i][name], figures[i][cases[i].on[0]]))
		}
	}
	return rows, nil
}

// row makes a row of the figures on a bed and those on the base.
func (c *hopCase) row(name string, figures, base []hopFigure) hopRow {
	over := func(value func(i int) float64) float64 {
		values := make([]float64, len(figures))
		for i := range figures {
			values[i] = value(i)
		}
		return median(values)
	}
	row := hopRow{
		of: c, name: name,
		cpuRatio:  over(func(i int) float64 { return figures[i].CPU / base[i].CPU }),
		rateRatio: over(func(i int) float64 { return figures[i].Rate / base[i].Rate }),
		hopFigure: hopFigure{
			CPU:      over(func(i int) float64 { return figures[i].CPU }),
			Rate:     over(func(i int) float64 { return figures[i].Rate }),
			P50:      over(func(i int) float64 { return figures[i].P50 }),
			LoadBusy: over(func(i int) float64 { return figures[i].LoadBusy }),
		},
	}
	for role := range row.Roles {
		row.Roles[role] = over(func(i int) float64 { return figures[i].Roles[role] })
	}
	return row
}

// idleWindow is how long the servers are watched without any load.
const idleWindow = 2 * time.Second

// rest measures what the servers use without any load.
func (b *bed) rest(ctx context.Context) error {
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	before, err := b.spent()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := pause(ctx, idleWindow); err != nil {
		return err
	}
	after, err := b.spent()
	for i := range b.roles {
		b.idle[i] = (after[i] - before[i]).Seconds() / time.Since(start).Seconds()
	}
	return err
}

// spent returns the processor time of each role so far.
func (b *bed) spent() (all [3]time.Duration, err error) {
	for i, r := range b.roles {
		if all[i], err = spent(r); err != nil {
			return all, err
		}
	}
	return all, nil
}

// window measures a window of a load, after a warm-up.
func (h *hop) window(ctx context.Context, b *bed, run func(time.Duration) (tally, error)) (f hopFigure, err error) {
	if err := ctx.Err(); err != nil {
		return f, err
	}
	if _, err := run(h.plan.warmUp); err != nil {
		return f, fmt.Errorf("warming up: %w", err)
	}
	before, err := b.spent()
	if err != nil {
		return f, err
	}
	t, err := run(h.plan.window)
	if err != nil {
		return f, err
	}
	after, err := b.spent()
	if err != nil {
		return f, err
	}
	for i := range b.roles {
		f.Roles[i] = (micros(after[i]-before[i]) - b.idle[i]*micros(t.elapsed)) / float64(t.count)
		f.CPU += f.Roles[i]
	}
	f.Rate = float64(t.count) / t.elapsed.Seconds()
	f.P50 = micros(t.latency.quantile(0.5))
	f.LoadBusy = 1 - t.idle.Seconds()/t.elapsed.Seconds()
	return f, nil
}

// roles are the processes of nodes by their role.
func (c *nodes) roles() (roles [][]*process) {
	for _, p := range append(slices.Clip(c.brokers), c.engine) {
		if p != nil {
			roles = append(roles, []*process{p})
		}
	}
	return roles
}

// startPair starts two nodes that e joins, or one if e is nil, and returns where the clients of the
// first and those of the second connect.
func (h *hop) startPair(ctx context.Context, e *engine, formats ...format) (c *nodes, first, second netip.AddrPort, err error) {
	n := 2
	if e == nil {
		n = 1
	}
	if c, err = h.startNodes(ctx, h.broker, e, n, formats...); err != nil {
		return nil, first, second, err
	}
	return c, c.at[0], c.at[n-1], nil
}

// brokers starts two nodes, or one.
func (h *hop) brokers(ctx context.Context, name string, e *engine) (*bed, error) {
	all := append([]format{formatOf("vws"), formatOf("wsify")}, callFormats()...)
	c, pub, sub, err := h.startPair(ctx, e, all...)
	if err != nil {
		return nil, err
	}
	return &bed{name: name, roles: c.roles(), pub: pub, sub: sub, stream: vwsStream(topic), stop: c.stop}, nil
}

// fanOut measures a publisher at one node and targetSubscribers at another one.
func (h *hop) fanOut(ctx context.Context, b *bed, f format, inFlight int) (hopFigure, error) {
	d := sized(f.speak)
	l, err := newLoadAcross(b.pub, b.sub, d, []dialect{d}, targetSubscribers, h.plan.spin, hopPatience)
	if err != nil {
		return hopFigure{}, err
	}
	defer l.close()
	return h.window(ctx, b, func(d time.Duration) (tally, error) { return l.run(inFlight, d) })
}

// streamAhead is how many messages a publisher is ahead of one subscriber.
const streamAhead = 1024

// oneSubscriber measures a publisher at one server and one subscriber at another one.
func (h *hop) oneSubscriber(ctx context.Context, b *bed, ahead int) (hopFigure, error) {
	s, err := newStream(b.pub, b.sub, b.stream, h.plan.spin)
	if err != nil {
		return hopFigure{}, err
	}
	defer s.close()
	if err := s.settle(); err != nil {
		return hopFigure{}, err
	}
	return h.window(ctx, b, func(d time.Duration) (tally, error) { return s.run(ahead, d) })
}

func formatOf(protocol string) format {
	all := formats()
	return all[slices.IndexFunc(all, func(f format) bool { return f.protocol == protocol })]
}

// plainNATS starts two nats-servers that are neighbours in a cluster.
func (h *hop) plainNATS(ctx context.Context, name string, d streamDialect) (*bed, error) {
	var ports [2]netip.AddrPort // for routes
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	b := &bed{name: name, stream: d}
	b.stop = func() {
		for _, r := range b.roles {
			r[0].stop()
		}
	}
	var at [2]netip.AddrPort
	for i := range at {
		client, err := freePort()
		if err != nil {
			b.stop()
			return nil, err
		}
		s := server{fmt.Sprintf("plain NATS %d", i), func(string) (*exec.Cmd, netip.AddrPort, error) {
			return exec.Command(filepath.Join(h.peers, "nats"), "-client", client.String(), "-cluster", ports[i].String(),
				"-routes", "nats://"+ports[1-i].String()), netip.AddrPort{}, nil
		}}
		p, webSocket, err := s.start(ctx, h.dir, h.core)
		if err != nil {
			b.stop()
			return nil, err
		}
		b.roles = append(b.roles, []*process{p})
		if at[i] = webSocket; d.bare {
			at[i] = client
		}
	}
	b.pub, b.sub = at[0], at[1]
	return b, nil
}

// relayed measures callers at one node and their answerer at another one.
func (h *hop) relayed(ctx context.Context, b *bed, contender callContender) (hopFigure, error) {
	l, err := h.spread(ctx, b, contender)
	if err != nil {
		return hopFigure{}, err
	}
	defer func() {
		l.close()
		_ = pause(ctx, time.Second) // until the channel is free for the next answerer
	}()
	return h.window(ctx, b, l.run)
}

// spread connects the answerer and the callers. Nobody says when the callers' node knows of the
// answerer: that they are answered is the only sign.
func (h *hop) spread(ctx context.Context, b *bed, contender callContender) (*callLoad, error) {
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		l, err := newCallLoadAcross(b.pub, b.sub, contender, callers, h.plan.spin, func() error { return pause(ctx, wait) })
		if err == nil {
			if _, err = l.run(0); err == nil {
				return l, nil
			}
			l.close()
		}
		if ctx.Err() != nil || wait > stall {
			return nil, err
		}
	}
}

// printHop writes the rows as tables.
func printHop(to io.Writer, rows []hopRow, topics []topicRow) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	var last *hopCase
	for _, r := range rows {
		if r.of != last {
			last = r.of
			fmt.Fprintf(t, "\nover a hop: %s\tCPU µs/%s\tthere, here, engine\tof %s\ttarget\t\t/s\tof %s\ttarget\t\tp50 µs\tload busy\n",
				last.name, last.unit, last.on[0], last.on[0])
		}
		mostCPU, leastRate := r.targets()
		fmt.Fprintf(t, "%s\t%.2f\t%.2f %.2f %.2f\t%.3f\t%s\t%.0f\t%.3f\t%s\t%.0f\t%.0f %%\n", r.name, r.CPU, r.Roles[0], r.Roles[1], r.Roles[2],
			r.cpuRatio, verdict("<= %.2f\t%s", r.cpuRatio, mostCPU), r.Rate, r.rateRatio, atLeast(r.rateRatio, leastRate), r.P50, r.LoadBusy*100)
	}
	printTopics(t, topics)
	return t.Flush()
}

// targets returns those of a row; 0 for none.
func (r hopRow) targets() (mostCPU, leastRate float64) {
	if r.name == engineEmbedded || r.name == engineNATS {
		return r.of.mostCPU, r.of.leastRate
	}
	return 0, 0
}

// atLeast is verdict for a minimum.
func atLeast(value, target float64) string {
	switch {
	case target == 0:
		return "\t"
	case value >= target:
		return fmt.Sprintf(">= %.2f\tok", target)
	}
	return fmt.Sprintf(">= %.2f\tMISSED", target)
}
