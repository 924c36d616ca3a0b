package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"text/tabwriter"
)

const (
	// bridgeRate is how many messages a second travel in both directions together.
	bridgeRate = 20_000
	// targetBridge is the maximum of what a bridge costs the broker, relative to two more local clients
	// that do the same work, in the same round.
	targetBridge = 1.5
)

// The topics of what a bridge brings in and takes out.
const (
	topicIn  = "bench/in"
	topicOut = "bench/out"
)

// bridged is how the messages of a case travel; both contenders and their base have the same broker, whose
// local clients publish topicOut and hear topicIn.
type bridged int

const (
	// byBridge: those of topicIn are published at an old server, and those of topicOut heard there.
	byBridge bridged = iota
	// byClients: two more clients of the broker do that.
	byClients
	// byNobody: topicOut is not heard, and there is nothing to be heard on topicIn.
	byNobody
)

func (w bridged) String() string {
	return [...]string{"a bridge", "two more local clients", "neither"}[w]
}

// bridgeRow is the three of them with messages in bursts of one size: medians over the rounds.
type bridgeRow struct {
	burst int
	costs [3]cost
	// ratio is the CPU per message with a bridge over that with two more clients, and added that of what
	// either costs beyond neither.
	ratio, added float64
}

// runBridge measures and prints what a bridge to an old server costs the broker.
func runBridge(ctx context.Context, p plan, broker string) error {
	var rounds [][][3]cost
	err := p.inFolder(func(b bench) (err error) {
		rounds, err = (&bridgeBench{b, broker}).rounds(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var rows []bridgeRow
	for i, burst := range p.inFlight {
		rows = append(rows, newBridgeRow(burst, rounds[i]))
	}
	return printBridge(os.Stdout, rows)
}

// bridgeBench is this part of the benchmark.
type bridgeBench struct {
	bench
	broker string
}

// rounds measures round after round, and returns the costs by the index of a burst in the plan, and by round.
func (b *bridgeBench) rounds(ctx context.Context) ([][][3]cost, error) {
	all := make([][][3]cost, len(b.plan.inFlight))
	for round := range b.plan.rounds {
		for i := range all {
			all[i] = append(all[i], [3]cost{})
		}
		for n := range 3 {
			way := bridged((n + round) % 3) // each of them is first by turns
			costs, err := b.measure(ctx, way)
			if err != nil {
				return nil, fmt.Errorf("measuring %s: %w", way, err)
			}
			for i, c := range costs {
				all[i][round][way] = c
				fmt.Printf("round %d  bursts of %d, %s: %.2f µs CPU/message  %.0f messages/s  p50 %.0f µs  others %.0f %%\n",
					round+1, b.plan.inFlight[i], way, c.CPU, c.Rate, c.P50, c.Others*100)
			}
		}
	}
	return all, nil
}

// measure starts the servers anew and measures a window for each size of bursts.
func (b *bridgeBench) measure(ctx context.Context, way bridged) ([]cost, error) {
	f := formatOf("vws")
	var further string
	var old netip.AddrPort
	if way == byBridge {
		// It has the load's core, so that the broker has its own for itself in both cases.
		p, addr, err := b.start(ctx, "old server", b.plan.cores[len(b.plan.cores)-1], "", f)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		old = addr
		further = fmt.Sprintf("bridges:\n  - { name: old, protocol: %s, url: %q, hear: [%s], tell: [%s] }\n", f.protocol, "ws://"+old.String()+f.path(), topicIn, topicOut)
	}
	p, addr, err := b.start(ctx, "broker", b.core, further, f)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if way != byBridge {
		old = addr
	}
	l, err := newBridgeLoad(addr, old, way)
	if err != nil {
		return nil, err
	}
	defer l.close()
	var costs []cost
	for _, burst := range b.plan.inFlight {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := l.run(burst, b.plan.warmUp); err != nil {
			return nil, fmt.Errorf("warming up: %w", err)
		}
		c, err := window(p, b.core, func() (tally, error) { return l.run(burst, b.plan.window) })
		if err != nil {
			return nil, err
		}
		if way == byNobody {
			// Relative to the messages that the others have, of which this has half.
			c.CPU /= 2
		}
		costs = append(costs, c)
	}
	return costs, nil
}

// start starts a broker.
func (b *bridgeBench) start(ctx context.Context, name string, core int, further string, f format) (*process, netip.AddrPort, error) {
	dir, err := os.MkdirTemp(b.dir, "bridge-")
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("making folder: %w", err)
	}
	return server{name, serve(b.broker, further, f)}.start(ctx, dir, core)
}

// newBridgeLoad connects the clients at the broker, here, and at the old server; the latter are at the
// broker as well if there is none.
func newBridgeLoad(here, old netip.AddrPort, way bridged) (*paced, error) {
	l := &paced{rate: bridgeRate}
	add := func(pub, sub netip.AddrPort, publish, hear string) error {
		d := vwsStream(hear)
		d.publish = vwsStream(publish).publish
		s, err := newStream(pub, sub, d, false)
		if err == nil {
			l.streams = append(l.streams, s)
		}
		return err
	}
	var err error
	if way == byNobody {
		l.unheard, l.rate = true, bridgeRate/2
		err = add(here, here, topicOut, topicIn)
	} else if err = add(here, old, topicOut, topicOut); err == nil {
		err = add(old, here, topicIn, topicIn)
	}
	for i := 0; i < len(l.streams) && err == nil && !l.unheard; i++ {
		err = l.streams[i].settle()
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// newBridgeRow makes a row of the costs in each round.
func newBridgeRow(burst int, rounds [][3]cost) bridgeRow {
	row := bridgeRow{burst: burst}
	var ratios, added []float64
	for _, r := range rounds {
		ratios = append(ratios, r[byBridge].CPU/r[byClients].CPU)
		added = append(added, (r[byBridge].CPU-r[byNobody].CPU)/(r[byClients].CPU-r[byNobody].CPU))
	}
	for way := range row.costs {
		var costs []cost
		for _, r := range rounds {
			costs = append(costs, r[way])
		}
		row.costs[way] = medianCost(costs)
	}
	row.ratio, row.added = median(ratios), median(added)
	return row
}

// printBridge writes the rows as a table.
func printBridge(to io.Writer, rows []bridgeRow) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(t, "\n%d messages/s, in bursts of %d\tCPU µs/message\tof two clients\ttarget\t\tbeyond neither\t/s\tp50 µs\tothers\n", bridgeRate, r.burst)
		for way, c := range r.costs {
			fmt.Fprintf(t, "%s\t%.2f\t", bridged(way), c.CPU)
			if bridged(way) == byBridge {
				fmt.Fprintf(t, "%.3f\t%s\t%.3f", r.ratio, verdict("<= %.2f\t%s", r.ratio, targetBridge), r.added)
			} else {
				fmt.Fprint(t, "\t\t\t")
			}
			fmt.Fprintf(t, "\t%.0f\t%.0f\t%.0f %%\n", c.Rate, c.P50, c.Others*100)
		}
	}
	if slices.ContainsFunc(rows, func(r bridgeRow) bool { return r.costs[byBridge].Others > quiet || r.costs[byClients].Others > quiet }) {
		fmt.Fprintf(t, "\nnote: other processes took more than %.0f %% of the broker's core; run it again on a quiet machine\n", quiet*100)
	}
	return t.Flush()
}
