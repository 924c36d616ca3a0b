// Command bench measures what a broadcast costs the broker, against peers that
// run in the same minutes on the same core: a gorilla/websocket hub and an
// lxzan/gws hub.
//
// One publisher sends messages that a thousand (and a hundred) subscribers read
// as 128 bytes each, one message at a time or sixteen in flight. The broker is
// measured in each of its formats, and mixed: then one vws client publishes to
// equally many subscribers of all formats, and a delivery is compared with one in
// the dearest single format. The server has one core for itself, the load
// another. The contenders take turns, round after round, each time as a fresh
// process; a ratio is taken within a round and the median over the rounds is what
// counts, because absolute times move with the machine and ratios hardly do. The
// resident memory per idle subscriber is measured once for each contender.
//
// Then calls: 64 clients ask, each one call at a time, and one client answers, or a Go
// handler in the broker does. nats-server, asked in the same way over WebSocket, is the
// reference. The broker is measured again with 100,000 calls outstanding beside.
//
// Then the fan-out and the memory once more with TLS: the broker's vws against the
// gorilla hub.
//
// Then formats in plugins against the same formats built in: fan-out and frames in per
// CPU second, broker and plugin together; what a lone frame waits more; and how soon the
// broker notices a kill -9 and serves again, while no message of another endpoint is lost.
//
// Then a hop between two nodes of a cluster, through embedded NATS, nats-server and
// Redis: fan-out and calls against those on one node, one subscriber against a cluster of
// two nats-servers, and many topics that arrive at one node, or that a node knows which
// joins. The CPU time is that of both brokers and of the engine, if that is a process of its own;
// all of them have one core.
//
// Then a bridge: 20,000 messages a second, half of which travel from an old server to the
// broker's clients and half from these to its clients, against two more clients of the broker
// that publish and hear the same.
//
// Then those who look: how long a message takes, at a fixed rate well below what the broker can do, in windows without
// and with lists of all connections, taps, scrapes, a backend for events that hangs, and requests that are refused.
//
// Parts are run again with -only, a regular expression of contenders
// (-only 'vws$'; the reference always runs), and with -fanout=false, -weigh=false,
// -calls=false, -tls=false, -plugins=false, -hop=false, -bridge=false or -watch=false:
//
//	make bench BENCHFLAGS='-quick -only broker -weigh=false -calls=false'
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
	"regexp"
	"runtime/debug"
	"slices"
	"time"
)

// plan is what one run of the benchmark does.
type plan struct {
	rounds      int
	subscribers []int
	inFlight    []int
	// warmUp runs before each measured window.
	warmUp, window time.Duration
	// idle subscribers are opened to measure their memory after settle; 0 for none.
	idle   int
	settle time.Duration
	// outstanding is the number of outstanding calls beside the measured ones; 0 for no window with
	// such.
	outstanding int
	// cores are those that server and load may use: the first is the server's, the last the load's.
	cores []int
	// spin makes the load poll instead of sleep (see poller.wait).
	spin bool
}

// inFolder runs a part of the benchmark, with the load on its core, and a folder for the servers' files. The folder stays if
// something fails: an error names the server's log in it.
func (p plan) inFolder(measure func(bench) error) error {
	if err := pinSelf(p.cores[len(p.cores)-1]); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "polywire-bench-")
	if err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	if err := measure(bench{plan: p, core: p.cores[0], dir: dir}); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing folder: %w", err)
	}
	return nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == watchArgument {
		if err := watchAs(os.Args[2:]); err != nil {
			log.Fatal(err)
		}
		return
	}
	broker := flag.String("broker", "../bin/broker", "the broker's binary")
	peers := flag.String("peers", "bin", "folder of the peers' binaries")
	out := flag.String("json", "bin/bench.json", "file for all figures, as JSON")
	quick := flag.Bool("quick", false, "two minutes instead of ten")
	rounds := flag.Int("rounds", 0, "rounds; 0 for the plan's own number")
	only := flag.String("only", "", "run the reference and the contenders that match this regular expression alone")
	fanOut := flag.Bool("fanout", true, "measure messages to many subscribers")
	calls := flag.Bool("calls", true, "measure calls")
	outstanding := flag.Int("outstanding", 100_000, "calls outstanding beside the measured ones, whole thousands; 0 for none")
	weigh := flag.Bool("weigh", true, "measure what an idle subscriber weighs")
	secure := flag.Bool("tls", true, "measure the broker and the reference with TLS too")
	plugins := flag.Bool("plugins", true, "measure formats in plugins against the same ones built in")
	hops := flag.Bool("hop", true, "measure what a hop between two nodes of a cluster costs")
	bridges := flag.Bool("bridge", true, "measure what a bridge to an old server costs")
	recordings := flag.Bool("recording", true, "measure what the proxy of broker record costs")
	watch := flag.Bool("watch", true, "measure whether clients notice that somebody looks")
	builtin := flag.String("builtin", "bin/builtin", "the program that runs each built-in format as a plugin")
	sleep := flag.Bool("sleep", false, "let the load sleep between messages instead of polling")
	flag.Parse()

	p := plan{
		rounds: 5, subscribers: []int{1000, 100}, inFlight: []int{1, 16},
		warmUp: 500 * time.Millisecond, window: 1500 * time.Millisecond, idle: 5000, settle: 5 * time.Second,
		outstanding: *outstanding, spin: !*sleep,
	}
	if *quick {
		p.rounds, p.subscribers, p.window, p.settle = 1, []int{1000}, time.Second, 2*time.Second
	}
	if !*weigh {
		p.idle = 0
	}
	if !*fanOut {
		p.subscribers = nil
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	choice, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(fmt.Errorf("reading -only: %w", err))
	}
	// Once, because a pinned process sees no other core any more.
	if p.cores, err = cores(); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	b := bench{plan: p, servers: choose(contenders(*broker, *peers), reference, choice)}
	if *calls {
		b.callServers = choose(callContenders(*broker, *peers), callReference, choice)
	}
	if err := b.report(ctx, *out); err != nil {
		log.Fatal(err)
	}
	if *secure {
		if err := runSecure(ctx, p, *broker, *peers); err != nil {
			log.Fatal(err)
		}
	}
	if *plugins {
		if err := runPlugins(ctx, p, *broker, *builtin); err != nil {
			log.Fatal(err)
		}
	}
	if *hops {
		if err := runHop(ctx, p, *broker, *peers, choice); err != nil {
			log.Fatal(err)
		}
	}
	if *bridges {
		if err := runBridge(ctx, p, *broker); err != nil {
			log.Fatal(err)
		}
	}
	if *recordings {
		if err := runRecording(ctx, p, *broker); err != nil {
			log.Fatal(err)
		}
	}
	if *watch {
		if err := runWatch(ctx, p, *broker, choice); err != nil {
			log.Fatal(err)
		}
	}
}

// choose keeps only the contenders that match, and the reference.
func choose[T interface{ called() string }](all []T, reference string, only *regexp.Regexp) []T {
	return slices.DeleteFunc(all, func(c T) bool {
		return c.called() != reference && !only.MatchString(c.called())
	})
}

// report runs the benchmark, prints the report and saves it in the file out.
func (b *bench) report(ctx context.Context, out string) error {
	if len(b.plan.cores) == 1 {
		fmt.Println("note: there is one core only; server and load share it")
	}
	// The load's own garbage collection must not run in a measured window; between windows each
	// contender's load starts small.
	debug.SetGCPercent(1000)
	var measured figures
	err := b.plan.inFolder(func(common bench) (err error) {
		b.core, b.dir = common.core, common.dir
		measured, err = b.run(ctx)
		return err
	})
	if err != nil {
		return err
	}
	report := summarize(measured)
	report.Calls = summarizeCalls(measured.Calls, b.callServers)
	if err := report.print(os.Stdout); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return report.save(out)
}
