package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// The targets of a format in a plugin, relative to the same format built in, in the same round.
const (
	targetPluginFanOut  = 0.80 // minimum of the deliveries per CPU second
	targetPluginEcho    = 0.30 // minimum of the frames in per CPU second under load
	targetPluginLatency = 150  // maximum of the µs added to a lone frame's round trip
	targetPluginNoticed = time.Second
	targetPluginBack    = 3 * time.Second
)

// The loads of frames in: many clients that send ahead, and one that waits for each echo.
const (
	echoClients = 64
	echoAhead   = 16
)

// pluginRow is one setting: medians over the rounds.
type pluginRow struct {
	name string
	// builtIn and plugin are costs, or times; the target is about ratio.
	builtIn, plugin, ratio float64
	atLeast, atMost        float64 // the target; 0 for none
}

// pluginPair measures a format built in and in a plugin, one after the other, so that both see the
// same other load of the machine.
type pluginPair struct {
	name    string
	both    [2]contender // built in, in a plugin
	measure func(context.Context, contender) (float64, error)
	// judge computes from both figures the one that the target is about.
	judge           func(builtIn, plugin float64) float64
	atLeast, atMost float64
}

// runPlugins measures and prints the cost of formats in plugins. program runs each built-in format
// as a plugin.
func runPlugins(ctx context.Context, p plan, broker, program string) error {
	return p.inFolder(func(b bench) error {
		rows, err := b.pluginRows(ctx, b.pluginPairs(broker, program))
		if err != nil {
			return err
		}
		deaths, err := b.pluginDeaths(ctx, broker, program)
		if err != nil {
			return fmt.Errorf("killing a plugin: %w", err)
		}
		return printPlugins(os.Stdout, rows, deaths)
	})
}

// pluginPairs returns the comparisons.
func (b *bench) pluginPairs(broker, program string) []pluginPair {
	both := func(protocol, settings string, d dialect) (pair [2]contender) {
		for i, where := range []string{"", fmt.Sprintf(", plugin: { command: [%q, %s] }", program, protocol)} {
			f := format{protocol: protocol, settings: settings + where}
			name := fmt.Sprintf("broker %s %d", protocol, i)
			pair[i] = contender{server{name, serve(broker, "", f)}, d, []dialect{d}}
		}
		return pair
	}
	fanOut := both("vws", ", options: { allow_send: true }", sized(vws))
	echo := both("echo", "", dialect{subPath: "/echo"})
	part := func(builtIn, plugin float64) float64 { return builtIn / plugin }
	more := func(builtIn, plugin float64) float64 { return plugin - builtIn }
	var pairs []pluginPair
	for _, n := range b.plan.inFlight {
		pairs = append(pairs, pluginPair{
			name: fmt.Sprintf("fan-out to %d, %d in flight: µs CPU per delivery", targetSubscribers, n), both: fanOut,
			measure: func(ctx context.Context, c contender) (float64, error) { return b.pluginFanOut(ctx, c, n) },
			judge:   part, atLeast: targetPluginFanOut,
		})
	}
	return append(pairs,
		pluginPair{"frames in under load: µs CPU per echo", echo, b.pluginEcho, part, targetPluginEcho, 0},
		pluginPair{"a lone frame: median µs until its echo", echo, b.pluginLatency, more, 0, targetPluginLatency})
}

// pluginRows measures all pairs, round after round.
func (b *bench) pluginRows(ctx context.Context, pairs []pluginPair) ([]pluginRow, error) {
	rows := make([]pluginRow, len(pairs))
	for i, pair := range pairs {
		var costs [2][]float64
		var judged []float64
		for round := range b.plan.rounds {
			var figures [2]float64
			for n := range figures {
				which := (n + round) % 2 // each of the two is first by turns
				var err error
				if figures[which], err = pair.measure(ctx, pair.both[which]); err != nil {
					return nil, fmt.Errorf("measuring %s, %s: %w", pair.both[which].name, pair.name, err)
				}
				costs[which] = append(costs[which], figures[which])
			}
			judged = append(judged, pair.judge(figures[0], figures[1]))
			fmt.Printf("round %d  %s: built in %.2f, in a plugin %.2f\n", round+1, pair.name, figures[0], figures[1])
		}
		rows[i] = pluginRow{pair.name, median(costs[0]), median(costs[1]), median(judged), pair.atLeast, pair.atMost}
	}
	return rows, nil
}

// pluginFanOut returns the CPU time of a delivery in microseconds.
func (b *bench) pluginFanOut(ctx context.Context, c contender, inFlight int) (float64, error) {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	l, err := newLoad(addr, c, targetSubscribers, b.plan.spin)
	if err != nil {
		return 0, err
	}
	defer l.close()
	return b.familyCPU(p, func(d time.Duration) (tally, error) { return l.run(inFlight, d) })
}

// pluginEcho returns the CPU time of an echo in microseconds, under load.
func (b *bench) pluginEcho(ctx context.Context, c contender) (float64, error) {
	p, l, err := b.startEcho(ctx, c, echoClients)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	defer l.close()
	return b.familyCPU(p, func(d time.Duration) (tally, error) { return l.run(echoAhead, d) })
}

// pluginLatency returns the median time of a lone frame until its echo in microseconds.
func (b *bench) pluginLatency(ctx context.Context, c contender) (float64, error) {
	p, l, err := b.startEcho(ctx, c, 1)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	defer l.close()
	if _, err := l.run(1, b.plan.warmUp); err != nil {
		return 0, err
	}
	t, err := l.run(1, b.plan.window)
	if err != nil {
		return 0, err
	}
	return micros(t.latency.quantile(0.5)), nil
}

func (b *bench) startEcho(ctx context.Context, c contender, clients int) (*process, *echoLoad, error) {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return nil, nil, err
	}
	l, err := newEchoLoad(addr, c.speaker.subPath, clients, b.plan.spin)
	if err != nil {
		p.stop()
		return nil, nil, err
	}
	return p, l, nil
}

// familyCPU returns the CPU time in microseconds per counted unit of a run, of the server and the
// plugins that it has started.
func (b *bench) familyCPU(p *process, run func(time.Duration) (tally, error)) (float64, error) {
	if _, err := run(b.plan.warmUp); err != nil {
		return 0, err
	}
	before, err := p.familyCPU()
	if err != nil {
		return 0, err
	}
	t, err := run(b.plan.window)
	if err != nil {
		return 0, err
	}
	after, err := p.familyCPU()
	if err != nil {
		return 0, err
	}
	return micros(after-before) / float64(t.count), nil
}

// printPlugins writes the rows as tables.
func printPlugins(to io.Writer, rows []pluginRow, deaths []death) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\na format in a plugin\tbuilt in\tin a plugin\tpart, or more\ttarget\t\n")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.2f\t%s\n", r.name, r.builtIn, r.plugin, r.ratio, r.verdict())
	}
	fmt.Fprint(t, "\nkill -9 of a plugin\tnoticed after ms\tserves again after ms\tmessages of another endpoint, none lost\ttarget\t\n")
	for i, d := range deaths {
		outcome := "ok"
		if d.noticed > targetPluginNoticed || d.back > targetPluginBack {
			outcome = "MISSED"
		}
		fmt.Fprintf(t, "round %d\t%d\t%d\t%d\t<= %d and %d\t%s\n", i+1, d.noticed.Milliseconds(), d.back.Milliseconds(), d.beside,
			targetPluginNoticed.Milliseconds(), targetPluginBack.Milliseconds(), outcome)
	}
	return t.Flush()
}

// verdict returns the target and whether it is met.
func (r pluginRow) verdict() string {
	if r.atLeast > 0 {
		outcome := "ok"
		if r.ratio < r.atLeast {
			outcome = "MISSED"
		}
		return fmt.Sprintf(">= %.2f\t%s", r.atLeast, outcome)
	}
	return verdict("<= %.0f\t%s", r.ratio, r.atMost)
}
