package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// cost is the cost of a window: per delivery, or per round trip of a call.
type cost struct {
	// CPU is the server's processor time per unit, in microseconds.
	CPU float64
	// Rate is the number of units per second.
	Rate float64
	// P50 and P99 are the time from writing to reading, in microseconds.
	P50, P99 float64
	// LoadBusy is the part of the time in which the load had work; near 1 the load was the
	// bottleneck and Rate says little about the server.
	LoadBusy float64
	// Others is the part of the server's core that went to other processes. They evict the server
	// from the caches, and make figures and ratios worthless.
	Others float64
}

// figure is one measured window of messages to many.
type figure struct {
	Server      string
	Round       int
	Subscribers int
	InFlight    int
	cost
}

// weight is the memory of one idle subscriber.
type weight struct {
	Server string
	// Bytes is resident memory per subscribed connection.
	Bytes float64
}

// figures are all measurements.
type figures struct {
	Windows []figure
	Weights []weight
	Calls   []callFigure
}

// bench carries out a plan.
type bench struct {
	plan        plan
	servers     []contender
	callServers []callContender
	core        int
	dir         string
}

func (b *bench) run(ctx context.Context) (figures, error) {
	var all figures
	for round := range b.plan.rounds {
		for _, n := range b.plan.subscribers {
			for _, c := range b.servers {
				windows, err := b.fanOut(ctx, c, n)
				if err != nil {
					return all, fmt.Errorf("measuring %s with %d subscribers: %w", c.name, n, err)
				}
				for _, w := range windows {
					w.Round = round + 1
					all.Windows = append(all.Windows, w)
					fmt.Printf("round %d  %s\n", w.Round, w)
				}
			}
		}
	}
	var err error
	if all.Calls, err = b.callRounds(ctx); err != nil || b.plan.idle == 0 {
		return all, err
	}
	for _, c := range b.servers {
		if len(c.listeners) > 1 {
			continue
		}
		w, err := b.weigh(ctx, c)
		if err != nil {
			return all, fmt.Errorf("weighing %s: %w", c.name, err)
		}
		all.Weights = append(all.Weights, w)
	}
	return all, nil
}

func (f figure) String() string {
	return fmt.Sprintf("%-15s %5d subscribers %3d in flight  %7.3f µs CPU/delivery  %9.0f deliveries/s  p50 %6.0f µs  p99 %6.0f µs  load busy %.0f %%  others %.0f %%",
		f.Server, f.Subscribers, f.InFlight, f.CPU, f.Rate, f.P50, f.P99, f.LoadBusy*100, f.Others*100)
}

// fanOut starts c anew and measures one window for each number in flight.
func (b *bench) fanOut(ctx context.Context, c contender, subscribers int) ([]figure, error) {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	l, err := newLoad(addr, c, subscribers, b.plan.spin)
	if err != nil {
		return nil, err
	}
	defer l.close()
	var windows []figure
	for _, inFlight := range b.plan.inFlight {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := l.run(inFlight, b.plan.warmUp); err != nil {
			return nil, fmt.Errorf("warming up: %w", err)
		}
		spent, err := window(p, b.core, func() (tally, error) { return l.run(inFlight, b.plan.window) })
		if err != nil {
			return nil, err
		}
		windows = append(windows, figure{Server: c.name, Subscribers: subscribers, InFlight: inFlight, cost: spent})
	}
	return windows, nil
}

// tally is what a run of a load counted.
type tally struct {
	count uint64
	// elapsed is the duration of the run; idle is the part of it spent waiting for the server.
	elapsed, idle time.Duration
	// latency belongs to the load, which overwrites it in its next run.
	latency *histogram
}

// window measures one run of a load against a server on the given core.
func window(p *process, core int, run func() (tally, error)) (cost, error) {
	before, err := readTimes(p, core)
	if err != nil {
		return cost{}, err
	}
	t, err := run()
	if err != nil {
		return cost{}, err
	}
	after, err := readTimes(p, core)
	if err != nil {
		return cost{}, err
	}
	server := after.server - before.server
	return cost{
		CPU:      micros(server) / float64(t.count),
		Rate:     float64(t.count) / t.elapsed.Seconds(),
		P50:      micros(t.latency.quantile(0.50)),
		P99:      micros(t.latency.quantile(0.99)),
		LoadBusy: 1 - t.idle.Seconds()/t.elapsed.Seconds(),
		Others:   max(0, (after.core-before.core-server).Seconds()/t.elapsed.Seconds()),
	}, nil
}

// times are the processor times of the server and of everybody on its core so far.
type times struct{ server, core time.Duration }

func readTimes(p *process, core int) (times, error) {
	server, err := p.cpu()
	if err != nil {
		return times{}, err
	}
	busy, err := coreBusy(core)
	if err != nil {
		return times{}, err
	}
	return times{server, busy}, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// weigh returns the memory of one idle subscriber of c.
func (b *bench) weigh(ctx context.Context, c contender) (weight, error) {
	bytes, err := b.growth(ctx, c, func(addr netip.AddrPort, n int) (func(), error) {
		l, err := newLoad(addr, c, n, false)
		if err != nil {
			return nil, err
		}
		return l.close, nil
	})
	return weight{c.name, bytes}, err
}

// growth opens many subscribers, leaves them idle for a while, and returns by how much the server
// has grown for each. First a few connections come and go, so that what the server sets up once is
// not charged to the subscribers.
func (b *bench) growth(ctx context.Context, c contender, open func(netip.AddrPort, int) (closeAll func(), err error)) (float64, error) {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	closeFew, err := open(addr, 20)
	if err != nil {
		return 0, err
	}
	closeFew()
	if err := pause(ctx, time.Second); err != nil {
		return 0, err
	}
	before, err := p.resident()
	if err != nil {
		return 0, err
	}
	closeAll, err := open(addr, b.plan.idle)
	if err != nil {
		return 0, err
	}
	defer closeAll()
	if err := pause(ctx, b.plan.settle); err != nil {
		return 0, err
	}
	after, err := p.resident()
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(b.plan.idle), nil
}

// pause waits, or returns earlier if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
