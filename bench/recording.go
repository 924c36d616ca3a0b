package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// targetRecording is the maximum of the proxy's core that `broker record` may use at bridgeRate.
const targetRecording = 1.0

// recordingRow is the proxy with messages in bursts of one size: medians over the rounds.
type recordingRow struct {
	burst int
	cost  cost
	// share is the part of a core that the proxy used.
	share float64
}

// runRecording measures and prints what the proxy of `broker record` costs while it records.
func runRecording(ctx context.Context, p plan, broker string) error {
	costs := make([][]cost, len(p.inFlight))
	err := p.inFolder(func(common bench) error {
		b := recordingBench{common, broker}
		for round := range p.rounds {
			measured, err := b.measure(ctx)
			if err != nil {
				return fmt.Errorf("measuring a recording: %w", err)
			}
			for i, c := range measured {
				costs[i] = append(costs[i], c)
				fmt.Printf("round %d  bursts of %d, recorded: %.2f µs CPU/message  %.0f messages/s  p50 %.0f µs  others %.0f %%\n",
					round+1, p.inFlight[i], c.CPU, c.Rate, c.P50, c.Others*100)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var rows []recordingRow
	for i, burst := range p.inFlight {
		rows = append(rows, newRecordingRow(burst, costs[i]))
	}
	return printRecording(os.Stdout, rows)
}

// recordingBench is this part of the benchmark.
type recordingBench struct {
	bench
	broker string
}

// measure starts a server, and before it a proxy, which has a core for itself. Of the messages half are published
// through the proxy and heard at the server, and half the other way. That none is left out of the recording, the
// proxy says at its end.
func (b *recordingBench) measure(ctx context.Context) ([]cost, error) {
	f := formatOf("vws")
	dir, err := os.MkdirTemp(b.dir, "recording-")
	if err != nil {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	server, behind, err := server{"server", serve(b.broker, "", f)}.start(ctx, dir, b.plan.cores[len(b.plan.cores)-1])
	if err != nil {
		return nil, err
	}
	defer server.stop()
	proxy, before, err := b.proxy(ctx, dir, f, behind)
	if err != nil {
		return nil, err
	}
	defer proxy.stop()
	l := &paced{rate: bridgeRate}
	defer l.close()
	for _, way := range []struct {
		topic    string
		pub, sub netip.AddrPort
	}{{topicIn, before, behind}, {topicOut, behind, before}} {
		s, err := newStream(way.pub, way.sub, vwsStream(way.topic), false)
		if err != nil {
			return nil, err
		}
		l.streams = append(l.streams, s)
		if err := s.settle(); err != nil {
			return nil, err
		}
	}
	var costs []cost
	for _, burst := range b.plan.inFlight {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := l.run(burst, b.plan.warmUp); err != nil {
			return nil, fmt.Errorf("warming up: %w", err)
		}
		c, err := window(proxy, b.core, func() (tally, error) { return l.run(burst, b.plan.window) })
		if err != nil {
			return nil, err
		}
		costs = append(costs, c)
	}
	return costs, ended(proxy)
}

// proxy starts `broker record` before a server.
func (b *recordingBench) proxy(ctx context.Context, dir string, f format, behind netip.AddrPort) (*process, netip.AddrPort, error) {
	return server{"proxy", func(dir string) (*exec.Cmd, netip.AddrPort, error) {
		addr, err := freePort()
		// A window is far from this size, and a recording that reached it would end, and be cheap.
		return exec.Command(b.broker, "record", "--listen", addr.String(), "--to", f.protocol+"://"+behind.String()+f.path(),
			"-o", filepath.Join(dir, "session.txt"), "--max-size", "4294967296"), addr, err
	}}.start(ctx, dir, b.core)
}

// ended interrupts the proxy. It fails if the recording lacks something.
func ended(proxy *process) error {
	if err := proxy.cmd.Process.Signal(unix.SIGINT); err != nil {
		return fmt.Errorf("ending the recording: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- proxy.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("the recording lacks something, its log says what: %w", err)
		}
		return nil
	case <-time.After(startTimeout):
		return errors.New("the recording does not end")
	}
}

// newRecordingRow makes a row of the costs in each round.
func newRecordingRow(burst int, costs []cost) recordingRow {
	var shares []float64
	for _, c := range costs {
		shares = append(shares, c.CPU*c.Rate/1e6)
	}
	return recordingRow{burst, medianCost(costs), median(shares)}
}

// printRecording writes the rows as a table.
func printRecording(to io.Writer, rows []recordingRow) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%d messages/s through broker record\tCPU µs/message\tof a core\ttarget\t\t/s\tp50 µs\tothers\n", bridgeRate)
	for _, r := range rows {
		fmt.Fprintf(t, "in bursts of %d\t%.2f\t%.3f\t%s\t%.0f\t%.0f\t%.0f %%\n",
			r.burst, r.cost.CPU, r.share, verdict("< %.2f\t%s", r.share, targetRecording), r.cost.Rate, r.cost.P50, r.cost.Others*100)
	}
	if slices.ContainsFunc(rows, func(r recordingRow) bool { return r.cost.Others > quiet }) {
		fmt.Fprintf(t, "\nnote: other processes took more than %.0f %% of the proxy's core; run it again on a quiet machine\n", quiet*100)
	}
	return t.Flush()
}
