package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is the result of a run.
type report struct {
	Rows    []row
	Mixed   []mixedRow
	Weights []weightRow
	Calls   []callRow
	// Figures are the single windows; the rows are their medians.
	Figures figures
}

// row is one contender in one setting: medians over the rounds.
type row struct {
	Server                string
	Subscribers, InFlight int
	cost
	// Ratio is CPU over the reference's CPU in the same round, as the median of the rounds.
	Ratio float64
	// Target is the maximum of Ratio; 0 for no target.
	Target float64
}

// weightRow is the memory of one contender.
type weightRow struct {
	Server string
	// Bytes is resident memory per idle subscriber; Ratio is that over the reference's.
	Bytes, Ratio float64
	// Target is the maximum of Bytes; 0 for no target.
	Target float64
}

// The targets of the broker; the reference is the gorilla hub.
const (
	// targetSingle: one message at a time costs at most this part of the reference's CPU.
	targetSingle = 0.85
	// targetFlight: with sixteen in flight a delivery is ten times cheaper.
	targetFlight = 0.1
	// targetSubscribers is the audience to which both apply.
	targetSubscribers = 1000
	// targetMixed: a delivery to mixed subscribers costs at most this much of one to as many
	// subscribers of the dearest single format.
	targetMixed = 1.15
	// targetWeight is the memory of an idle subscribed connection, in bytes.
	targetWeight = 3 << 10
)

// quiet is the part of the server's core that others may use before a report warns about it. The
// kernel itself needs a few percent.
const quiet = 0.1

// target returns the bound for a contender in a setting, 0 if there is none.
func target(server string, subscribers, inFlight int) float64 {
	if !ours(server) || server == mixed || subscribers != targetSubscribers {
		return 0
	}
	switch inFlight {
	case 1:
		return targetSingle
	case 16:
		return targetFlight
	}
	return 0
}

func ours(server string) bool { return strings.HasPrefix(server, "broker") }

// setting is the scope within which ratios are taken.
type setting struct{ subscribers, inFlight int }

// summarize computes medians and ratios of the figures.
func summarize(f figures) report {
	r := report{Figures: f}
	type cell struct {
		server string
		setting
	}
	var order []cell
	windows := make(map[cell][]figure)
	// baseline is the reference's CPU by setting and round.
	baseline := make(map[setting]map[int]float64)
	for _, w := range f.Windows {
		s := setting{w.Subscribers, w.InFlight}
		c := cell{w.Server, s}
		if windows[c] == nil {
			order = append(order, c)
		}
		windows[c] = append(windows[c], w)
		if w.Server == reference {
			if baseline[s] == nil {
				baseline[s] = make(map[int]float64)
			}
			baseline[s][w.Round] = w.CPU
		}
	}
	slices.SortStableFunc(order, func(a, b cell) int {
		if a.subscribers != b.subscribers {
			return b.subscribers - a.subscribers
		}
		return a.inFlight - b.inFlight
	})
	for _, c := range order {
		r.Rows = append(r.Rows, summarizeCell(windows[c], baseline[c.setting]))
	}
	r.Mixed = summarizeMixed(r.Rows, f.Windows)
	r.Weights = summarizeWeights(f.Weights)
	return r
}

// summarizeCell makes one row from a contender's windows in one setting.
func summarizeCell(windows []figure, baseline map[int]float64) row {
	var costs []cost
	var ratios []float64
	for _, w := range windows {
		costs = append(costs, w.cost)
		ratios = append(ratios, w.CPU/baseline[w.Round])
	}
	w := windows[0]
	return row{
		Server:      w.Server,
		Subscribers: w.Subscribers,
		InFlight:    w.InFlight,
		cost:        medianCost(costs),
		Ratio:       median(ratios),
		Target:      target(w.Server, w.Subscribers, w.InFlight),
	}
}

// medianCost returns the medians of each part of the costs.
func medianCost(costs []cost) cost {
	by := func(value func(cost) float64) float64 {
		values := make([]float64, len(costs))
		for i, c := range costs {
			values[i] = value(c)
		}
		return median(values)
	}
	return cost{
		CPU:      by(func(c cost) float64 { return c.CPU }),
		Rate:     by(func(c cost) float64 { return c.Rate }),
		P50:      by(func(c cost) float64 { return c.P50 }),
		P99:      by(func(c cost) float64 { return c.P99 }),
		LoadBusy: by(func(c cost) float64 { return c.LoadBusy }),
		Others:   by(func(c cost) float64 { return c.Others }),
	}
}

func summarizeWeights(weights []weight) []weightRow {
	var base float64
	for _, w := range weights {
		if w.Server == reference {
			base = w.Bytes
		}
	}
	var rows []weightRow
	for _, w := range weights {
		row := weightRow{Server: w.Server, Bytes: w.Bytes, Ratio: w.Bytes / base}
		if ours(w.Server) {
			row.Target = targetWeight
		}
		rows = append(rows, row)
	}
	return rows
}

// median returns the middle of values, or the mean of the middle two.
func median(values []float64) float64 {
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

// print writes the report as tables.
func (r report) print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for i, w := range r.Rows {
		if i == 0 {
			fmt.Fprintf(t, "\nsubscribers\tin flight\tserver\tCPU µs/delivery\tof %s\ttarget\t\tdeliveries/s\tp50 µs\tp99 µs\tload busy\tothers\n", reference)
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%.3f\t%.3f\t%s\t%.0f\t%.0f\t%.0f\t%.0f %%\t%.0f %%\n", w.Subscribers, w.InFlight, w.Server, w.CPU,
			w.Ratio, verdict("<= %.2f\t%s", w.Ratio, w.Target), w.Rate, w.P50, w.P99, w.LoadBusy*100, w.Others*100)
	}
	for i, m := range r.Mixed {
		if i == 0 {
			fmt.Fprintf(t, "\nmixed subscribers\tin flight\tCPU µs/delivery\tdearest format\tof it\ttarget\n")
		}
		fmt.Fprintf(t, "%d\t%d\t%.3f\t%s\t%.3f\t%s\n", m.Subscribers, m.InFlight, m.CPU, m.Dearest, m.Ratio,
			verdict("<= %.2f\t%s", m.Ratio, m.Target))
	}
	if len(r.Weights) > 0 {
		fmt.Fprintf(t, "\nidle subscriber\tKiB resident\tof %s\ttarget\n", reference)
	}
	for _, w := range r.Weights {
		fmt.Fprintf(t, "%s\t%.2f\t%.3f\t%s\n", w.Server, w.Bytes/1024, w.Ratio,
			verdict("<= %.0f bytes\t%s", w.Bytes, w.Target))
	}
	printCalls(t, r.Calls)
	if slices.ContainsFunc(r.Rows, func(w row) bool { return w.Others > quiet }) ||
		slices.ContainsFunc(r.Calls, func(w callRow) bool { return w.Others > quiet }) {
		fmt.Fprintf(t, "\nnote: other processes took more than %.0f %% of the server's core; run it again on a quiet machine\n", quiet*100)
	}
	return t.Flush()
}

// verdict returns the target and whether value meets it; a lone tab if there is none.
func verdict(format string, value, target float64) string {
	switch {
	case target == 0:
		return "\t"
	case value <= target:
		return fmt.Sprintf(format, target, "ok")
	}
	return fmt.Sprintf(format, target, "MISSED")
}

// save writes the report and all single figures as JSON.
func (r report) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding report: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	return nil
}
