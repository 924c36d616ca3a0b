package main

import (
	"context"
	"fmt"
)

// callFigure is one measured window of calls.
type callFigure struct {
	Server string
	Round  int
	// Outstanding is the number of outstanding calls beside the measured ones.
	Outstanding int
	cost
}

func (f callFigure) String() string {
	return fmt.Sprintf("%-19s %6d outstanding  %7.3f µs CPU/round trip  %9.0f round trips/s  p50 %6.0f µs  p99 %6.0f µs  load busy %.0f %%  others %.0f %%",
		f.Server, f.Outstanding, f.CPU, f.Rate, f.P50, f.P99, f.LoadBusy*100, f.Others*100)
}

// callRounds measures all contenders in every round.
func (b *bench) callRounds(ctx context.Context) ([]callFigure, error) {
	var all []callFigure
	for round := range b.plan.rounds {
		for _, c := range b.callServers {
			windows, err := b.calls(ctx, c)
			if err != nil {
				return all, fmt.Errorf("measuring calls, %s: %w", c.name, err)
			}
			for _, w := range windows {
				w.Round = round + 1
				all = append(all, w)
				fmt.Printf("round %d  %s\n", w.Round, w)
			}
		}
	}
	return all, nil
}

// calls starts c anew and measures a window, and another one beside outstanding calls.
func (b *bench) calls(ctx context.Context, c callContender) ([]callFigure, error) {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	l, err := newCallLoad(addr, c, callers, b.plan.spin)
	if err != nil {
		return nil, err
	}
	defer l.close()
	alone, err := b.callWindow(ctx, p, l)
	if err != nil {
		return nil, err
	}
	windows := []callFigure{{Server: c.name, cost: alone}}
	if !c.beside || b.plan.outstanding == 0 {
		return windows, nil
	}
	o, err := newOutstanding(addr, b.plan.outstanding)
	if err != nil {
		return nil, err
	}
	defer o.close()
	beside, err := b.callWindow(ctx, p, l)
	if err != nil {
		return nil, err
	}
	windows = append(windows, callFigure{Server: c.name, Outstanding: b.plan.outstanding, cost: beside})
	return windows, o.check()
}

// callWindow measures one window after a warm-up.
func (b *bench) callWindow(ctx context.Context, p *process, l *callLoad) (cost, error) {
	if err := ctx.Err(); err != nil {
		return cost{}, err
	}
	if _, err := l.run(b.plan.warmUp); err != nil {
		return cost{}, fmt.Errorf("warming up: %w", err)
	}
	return window(p, b.core, func() (tally, error) { return l.run(b.plan.window) })
}
