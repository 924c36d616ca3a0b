// Command bench measures what a broadcast costs the broker, against peers that
// run in the same minutes on the same core: a gorilla/websocket hub and an
// lxzan/gws hub.
//
// One publisher sends messages that a thousand (and a hundred) subscribers read
// as 128 bytes each, one message at a time or sixteen in flight. The server has
// one core for itself, the load another. The contenders take turns, round after
// round, each time as a fresh process; a ratio is taken within a round and the
// median over the rounds is what counts, because absolute times move with the
// machine and ratios hardly do. The resident memory per idle subscriber is
// measured once for each contender.
//
// Only loopback addresses are used, and every phase is bounded in time.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"time"
)

// plan is what one run of the benchmark does.
type plan struct {
	rounds      int
	subscribers []int
	inFlight    []int
	// warmUp runs before each measured window.
	warmUp, window time.Duration
	// idle subscribers are opened to see what they weigh after settle.
	idle   int
	settle time.Duration
	// spin makes the load poll instead of sleep (see load.wait).
	spin bool
}

func main() {
	broker := flag.String("broker", "../bin/broker", "the broker's binary")
	peers := flag.String("peers", "bin", "folder of the peers' binaries")
	out := flag.String("json", "bin/bench.json", "file for all figures, as JSON")
	quick := flag.Bool("quick", false, "half a minute instead of several")
	rounds := flag.Int("rounds", 0, "rounds; 0 for the plan's own number")
	only := flag.String("only", "", "run this contender and the reference alone")
	sleep := flag.Bool("sleep", false, "let the load sleep between messages instead of polling")
	flag.Parse()

	p := plan{
		rounds: 5, subscribers: []int{1000, 100}, inFlight: []int{1, 16},
		warmUp: 500 * time.Millisecond, window: 2 * time.Second, idle: 5000, settle: 5 * time.Second, spin: !*sleep,
	}
	if *quick {
		p.rounds, p.subscribers, p.window, p.settle = 1, []int{1000}, 1500*time.Millisecond, 2*time.Second
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, p, choose(contenders(*broker, *peers), *only), *out); err != nil {
		log.Fatal(err)
	}
}

// choose keeps the named contender and the reference; an empty name keeps all.
func choose(all []contender, only string) []contender {
	if only == "" {
		return all
	}
	var kept []contender
	for _, c := range all {
		if c.name == only || c.name == reference {
			kept = append(kept, c)
		}
	}
	return kept
}

func run(ctx context.Context, p plan, servers []contender, out string) error {
	free, err := cores()
	if err != nil {
		return err
	}
	serverCore, loadCore := free[0], free[len(free)-1]
	if serverCore == loadCore {
		fmt.Println("note: there is one core only; server and load share it")
	}
	if err := pinSelf(loadCore); err != nil {
		return err
	}
	// The load's own collector must not run into a measured window; between
	// windows each contender's load starts small.
	debug.SetGCPercent(1000)
	dir, err := os.MkdirTemp("", "polywire-bench-")
	if err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	// The folder stays if something fails: an error names the server's log in it.
	b := bench{plan: p, servers: servers, core: serverCore, dir: dir}
	figures, err := b.run(ctx)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing folder: %w", err)
	}
	report := summarize(figures)
	if err := report.print(os.Stdout); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return report.save(out)
}
