package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// watchRate is how many messages a second are published while somebody looks, and watchSubscribers how many hear
	// each: a fifth of what a core can do, so that the latency is that of the broker and not of its load.
	watchRate        = 500
	watchSubscribers = 20
	// watchIdle is how many connections are held, or as many as this machine allows.
	watchIdle = 100_000
	// watchSpare is how many files beside them the broker and its watchers may need.
	watchSpare = 2500
	// watchPairs is how many pairs of windows a case has in each of the plan's rounds.
	watchPairs = 2
	// watchTries is how many times as many are measured at most, because others have disturbed the rest.
	watchTries = 2
	// watchSettle is how long a disturbance lasts before a window begins, or how long it is over.
	watchSettle = 300 * time.Millisecond
	// targetWatched is the maximum of the p99 beside a disturbance, relative to that without, as the median of pairs.
	targetWatched = 1.25
)

// watchCase is one disturbance.
type watchCase struct {
	name string
	// beside are the watchers of both windows of a pair, and with those of the disturbed one alone.
	beside, with []string
	// events: the backend that hangs is configured in the disturbed window.
	events bool
	// settle is how long it takes until the disturbance is what it is to be.
	settle time.Duration
}

// watchCases returns the disturbances. The first one is none: what its ratios differ from 1 is what those of the others
// may as well.
func watchCases() []watchCase {
	const reconnects = "300 clients/s come and go"
	return []watchCase{
		{name: "nothing", settle: watchSettle},
		{name: "whole lists of connections", with: []string{watchList}, settle: watchSettle},
		{name: "a tap of a topic with 5000 messages/s", beside: []string{watchFlood}, with: []string{watchTap}, settle: watchSettle},
		{name: "one whose reader does not read", beside: []string{watchFlood}, with: []string{watchDeaf}, settle: 2500 * time.Millisecond},
		{name: "1000 streams of events/s asked for", with: []string{watchStreams}, settle: watchSettle},
		{name: "ten scrapes/s, while " + reconnects, beside: []string{watchStorm}, with: []string{watchScrape}, settle: watchSettle},
		{name: "a backend for events that hangs, while " + reconnects, beside: []string{watchStorm, watchHang}, events: true, settle: watchSettle},
		{name: "500 requests/s to be refused", with: []string{watchIntrude}, settle: watchSettle},
	}
}

// watchBench is the part of the benchmark about those who look while clients publish.
type watchBench struct {
	bench
	broker string
	target watchTarget
	config string // the file
	proc   *process
	load   *steady
}

// runWatch measures and prints whether clients notice that somebody looks.
func runWatch(ctx context.Context, p plan, broker string, only *regexp.Regexp) error {
	return p.inFolder(func(common bench) error {
		b := watchBench{bench: common, broker: broker}
		rows, err := b.measure(ctx, only)
		if err != nil {
			return err
		}
		return printWatch(os.Stdout, b.target, rows)
	})
}

// measure starts the broker and measures all cases beside the same idle connections.
func (b *watchBench) measure(ctx context.Context, only *regexp.Regexp) ([]watchRow, error) {
	idle, err := idleConnections()
	if err != nil {
		return nil, err
	}
	if err := b.start(ctx, idle); err != nil {
		return nil, err
	}
	defer b.proc.stop()
	holder, err := startWatcher(b.target, watchHold)
	if err != nil {
		return nil, err
	}
	defer holder.stop()
	d := sized(vws)
	l, err := newLoad(b.target.Clients, contender{speaker: d, listeners: []dialect{d}}, watchSubscribers, false)
	if err != nil {
		return nil, err
	}
	if b.load, err = newSteady(l, watchRate); err != nil {
		l.close()
		return nil, err
	}
	defer b.load.close()
	if _, err := b.load.run(b.plan.warmUp); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	var rows []watchRow
	for _, c := range watchCases() {
		if !only.MatchString(c.name) {
			continue
		}
		pairs, did, err := b.pairs(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", c.name, err)
		}
		rows = append(rows, newWatchRow(c.name, pairs, did))
	}
	return rows, nil
}

// idleConnections returns how many connections can be held.
func idleConnections() (int, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	return holdable(files.Max), nil
}

// holdable returns how many connections a process with so many files may hold.
func holdable(files uint64) int {
	if files <= watchSpare {
		return 0
	}
	return int(min(files-watchSpare, watchIdle))
}

// start starts the broker.
func (b *watchBench) start(ctx context.Context, idle int) error {
	b.config = filepath.Join(b.dir, "broker.yaml")
	b.target.Token = "a token of the benchmark"
	b.target.Idle = idle
	b.target.Lists = max(1, watchIdle/max(idle, 1))
	for _, at := range []*netip.AddrPort{&b.target.Admin, &b.target.Clients, &b.target.Backend} {
		var err error
		if *at, err = freePort(); err != nil {
			return err
		}
	}
	if err := b.configure(false); err != nil {
		return err
	}
	s := server{"broker", func(string) (*exec.Cmd, netip.AddrPort, error) {
		return exec.Command(b.broker, "serve", "--config", b.config), b.target.Clients, nil
	}}
	var err error
	b.proc, _, err = s.start(ctx, b.dir, b.core)
	return err
}

// configure writes the broker's configuration, with or without the backend that hangs. Idle clients are not pinged: this
// is not about those.
func (b *watchBench) configure(events bool) error {
	text := fmt.Sprintf(`endpoints:
  - { name: vws, protocol: vws, listen: %q, path: /vws, ping_interval: 0s, options: { allow_send: true } }
admin:
  listen: %q
  tokens: [{ hash: "sha256:%x", subject: bench, role: operate }]
`, b.target.Clients, b.target.Admin, sha256.Sum256([]byte(b.target.Token)))
	if events {
		text += fmt.Sprintf("events:\n  - { name: hanging, url: \"http://%s/\", secret: \"a secret of the benchmark\" }\n", b.target.Backend)
	}
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing configuration: %w", err)
	}
	return nil
}

// pairs measures a case: pairs of windows with the disturbance and without it, each of which is first by turns.
func (b *watchBench) pairs(ctx context.Context, c watchCase) (pairs []watchPair, did counts, err error) {
	beside, stopBeside, err := b.watchers(c.beside)
	if err != nil {
		return nil, nil, err
	}
	defer stopBeside()
	with, stopWith, err := b.watchers(c.with)
	if err != nil {
		return nil, nil, err
	}
	defer stopWith()
	if err := turn(beside, true); err != nil {
		return nil, nil, err
	}
	want := watchPairs * b.plan.rounds
	for n := 0; len(quietPairs(pairs)) < want && n < watchTries*want; n++ {
		var pair watchPair
		for i := range 2 {
			disturbed := (n+i)%2 == 1
			if err := b.disturb(ctx, c, with, disturbed); err != nil {
				return nil, nil, err
			}
			spent, err := b.window(ctx, c.settle, slices.Concat(beside, with))
			if err != nil {
				return nil, nil, err
			}
			if disturbed {
				pair.with = spent
			} else {
				pair.without = spent
			}
			if disturbed {
				if err := b.calm(ctx, c, with); err != nil {
					return nil, nil, err
				}
			}
		}
		pairs = append(pairs, pair)
		fmt.Printf("pair %d  %-60s p99 %5.0f, %5.0f µs  p50 %4.0f, %4.0f µs  broker busy %2.0f, %2.0f %%  others %.0f, %.0f %%\n", n+1, c.name,
			pair.without.P99, pair.with.P99, pair.without.P50, pair.with.P50, pair.without.busy()*100, pair.with.busy()*100, pair.without.Others*100, pair.with.Others*100)
	}
	if err := turn(beside, false); err != nil {
		return nil, nil, err
	}
	did = make(counts)
	for _, w := range slices.Concat(with, beside) {
		maps.Copy(did, w.done)
	}
	if calm := quietPairs(pairs); len(calm) >= watchPairs {
		pairs = calm
	}
	return pairs, did, nil
}

// disturb begins the disturbance, if this window has it.
func (b *watchBench) disturb(ctx context.Context, c watchCase, with []*watcher, disturbed bool) error {
	if !disturbed {
		return ctx.Err()
	}
	if c.events {
		return b.reload(ctx, true)
	}
	return turn(with, true)
}

// calm ends the disturbance.
func (b *watchBench) calm(ctx context.Context, c watchCase, with []*watcher) error {
	if c.events {
		return b.reload(ctx, false)
	}
	return turn(with, false)
}

// reload writes the configuration and lets the broker read it.
func (b *watchBench) reload(ctx context.Context, events bool) error {
	if err := b.configure(events); err != nil {
		return err
	}
	a := newAsker(b.target, netip.Addr{})
	defer a.client.CloseIdleConnections()
	status, body, err := a.ask(a.request(ctx, http.MethodPost, "/v1/reload"))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %.300s", status, body)
	}
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	return nil
}

// window lets what was begun or ended last for a while, and measures a window. Others counts what others than the watchers
// and the load have taken of either core.
func (b *watchBench) window(ctx context.Context, settle time.Duration, watchers []*watcher) (cost, error) {
	if err := ctx.Err(); err != nil {
		return cost{}, err
	}
	if _, err := b.load.run(settle); err != nil {
		return cost{}, err
	}
	ours := []int{os.Getpid()}
	for _, w := range watchers {
		ours = append(ours, w.cmd.Process.Pid)
	}
	core := b.plan.cores[len(b.plan.cores)-1]
	before, err := othersOn(core, ours)
	if err != nil {
		return cost{}, err
	}
	spent, err := window(b.proc, b.core, func() (tally, error) { return b.load.run(b.plan.window) })
	if err != nil {
		return cost{}, err
	}
	after, err := othersOn(core, ours)
	if core != b.core {
		spent.Others = max(spent.Others, (after-before).Seconds()/b.plan.window.Seconds())
	}
	return spent, err
}

// othersOn returns how long a core has been busy so far with other processes than some that are bound to it.
func othersOn(core int, ours []int) (time.Duration, error) {
	busy, err := coreBusy(core)
	for _, pid := range ours {
		own, cpuErr := cpuOf(pid)
		busy -= own
		err = errors.Join(err, cpuErr)
	}
	return busy, err
}

// quietPairs returns those in which others took little of the cores.
func quietPairs(all []watchPair) (calm []watchPair) {
	for _, p := range all {
		if max(p.without.Others, p.with.Others) <= quiet {
			calm = append(calm, p)
		}
	}
	return calm
}

// watchers starts those of some names; stop ends them.
func (b *watchBench) watchers(names []string) (all []*watcher, stop func(), err error) {
	stop = func() {
		for _, w := range all {
			w.stop()
		}
	}
	for _, name := range names {
		w, err := startWatcher(b.target, name)
		if err != nil {
			stop()
			return nil, nil, err
		}
		all = append(all, w)
	}
	return all, stop, nil
}

func turn(all []*watcher, on bool) error {
	for _, w := range all {
		if err := w.turn(on); err != nil {
			return err
		}
	}
	return nil
}

// busy is the part of a core that the server has used.
func (c cost) busy() float64 { return c.CPU * c.Rate / 1e6 }

// watchPair are two windows one after the other.
type watchPair struct{ without, with cost }

// watchRow is one disturbance: medians over the pairs.
type watchRow struct {
	name          string
	without, with cost
	// p50 and p99 are the latencies with it over those without; a quarter of the ratios of p99
	// each is below low and above high.
	p50, p99, low, high float64
	pairs               int
	did                 counts
}

// newWatchRow makes a row of the pairs.
func newWatchRow(name string, pairs []watchPair, did counts) watchRow {
	var without, with []cost
	var p50, p99 []float64
	for _, p := range pairs {
		without, with = append(without, p.without), append(with, p.with)
		p50, p99 = append(p50, p.with.P50/p.without.P50), append(p99, p.with.P99/p.without.P99)
	}
	slices.Sort(p99)
	return watchRow{
		name: name, without: medianCost(without), with: medianCost(with), p50: median(p50), p99: median(p99),
		low: p99[len(p99)/4], high: p99[len(p99)-1-len(p99)/4], pairs: len(pairs), did: did,
	}
}

// printWatch writes the rows as a table.
func printWatch(to io.Writer, target watchTarget, rows []watchRow) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nwhile somebody looks (%d messages/s to %d, beside %d idle connections)\tp50 µs without, with\tratio\tp99 µs without, with\tratio\tits quartiles\ttarget\t\tbroker busy\tpairs\n",
		watchRate, watchSubscribers, target.Idle)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.0f, %.0f\t%.2f\t%.0f, %.0f\t%.2f\t%.2f, %.2f\t%s\t%.0f, %.0f %%\t%d\n", r.name, r.without.P50, r.with.P50, r.p50,
			r.without.P99, r.with.P99, r.p99, r.low, r.high, verdict("<= %.2f\t%s", r.p99, targetWatched), r.without.busy()*100, r.with.busy()*100, r.pairs)
	}
	fmt.Fprintln(t)
	for _, r := range rows {
		if text := r.did.String(); text != "" {
			fmt.Fprintf(t, "%s: %s\n", r.name, text)
		}
	}
	if target.Idle < watchIdle {
		fmt.Fprintf(t, "\nnote: %d connections are held, not %d, because a process may have %d files; whole lists are asked for %d times a second\n",
			target.Idle, watchIdle, target.Idle+watchSpare, target.Lists)
	}
	if slices.ContainsFunc(rows, func(r watchRow) bool { return max(r.without.Others, r.with.Others) > quiet }) {
		fmt.Fprintf(t, "\nnote: other processes took more than %.0f %% of a core; run it again on a quiet machine\n", quiet*100)
	}
	return t.Flush()
}

// String lists what was counted.
func (c counts) String() string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(c)) {
		all = append(all, fmt.Sprintf("%.0f %s", c[what], what))
	}
	return strings.Join(all, ", ")
}
