package main

import (
	"fmt"
	"io"
)

// callRow is one contender with a number of outstanding calls: medians over the rounds.
type callRow struct {
	Server      string
	Outstanding int
	cost
	// Ratio is CPU over the reference's CPU in the same round, as the median of the rounds.
	Ratio float64
	// Target is the maximum of CPU; 0 for no target.
	Target float64
	// RatioTarget is the maximum of Ratio: Target on a machine with the speed of the one that it is
	// set for.
	RatioTarget float64
	// Beside is CPU over that of the same server without outstanding calls, in the same round, as
	// the median of the rounds; 0 if there is none.
	Beside float64
	// BesideTarget is the maximum of Beside.
	BesideTarget float64
}

// targetBeside is how much calls may cost beside outstanding ones, relative to their cost alone:
// the same, except for noise.
const targetBeside = 1.1

// referenceMark is the CPU of the reference, in µs, on the machine that the targets are set for.
const referenceMark = 22.8

// summarizeCalls computes medians and ratios, in the order of the contenders.
func summarizeCalls(figures []callFigure, servers []callContender) []callRow {
	var rows []callRow
	for _, s := range servers {
		alone := callsOf(figures, s.name, false)
		if len(alone) == 0 {
			continue
		}
		row := s.row(alone)
		row.Ratio = callRatio(alone, callsOf(figures, callReference, false))
		rows = append(rows, row)
		if beside := callsOf(figures, s.name, true); len(beside) > 0 {
			row := s.row(beside)
			row.Ratio = callRatio(beside, callsOf(figures, callReference, false))
			row.Beside, row.BesideTarget = callRatio(beside, alone), targetBeside
			rows = append(rows, row)
		}
	}
	return rows
}

// callsOf returns the windows of one server, with or without outstanding calls.
func callsOf(figures []callFigure, server string, beside bool) []callFigure {
	var found []callFigure
	for _, f := range figures {
		if f.Server == server && (f.Outstanding > 0) == beside {
			found = append(found, f)
		}
	}
	return found
}

// row makes a row from windows of one kind, without its ratios.
func (c callContender) row(windows []callFigure) callRow {
	var costs []cost
	for _, w := range windows {
		costs = append(costs, w.cost)
	}
	return callRow{
		Server: c.name, Outstanding: windows[0].Outstanding, cost: medianCost(costs),
		Target: c.target, RatioTarget: c.target / referenceMark,
	}
}

// callRatio returns the CPU of windows over that of to in the same round, as the median of the
// rounds.
func callRatio(windows, to []callFigure) float64 {
	base := make(map[int]float64)
	for _, w := range to {
		base[w.Round] = w.CPU
	}
	var ratios []float64
	for _, w := range windows {
		ratios = append(ratios, w.CPU/base[w.Round])
	}
	return median(ratios)
}

// printCalls writes the rows as a table.
func printCalls(t io.Writer, rows []callRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(t, "\ncalls\toutstanding\tCPU µs/round trip\ttarget\t\tof %s\ttarget\t\tof itself alone\ttarget\t\tround trips/s\tp50 µs\tp99 µs\tload busy\tothers\n", callReference)
	for _, r := range rows {
		beside := ""
		if r.Beside > 0 {
			beside = fmt.Sprintf("%.3f", r.Beside)
		}
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%s\t%.3f\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f %%\t%.0f %%\n", r.Server, r.Outstanding,
			r.CPU, verdict("<= %.0f\t%s", r.CPU, r.Target), r.Ratio, verdict("<= %.3f\t%s", r.Ratio, r.RatioTarget), beside, verdict("<= %.2f\t%s", r.Beside, r.BesideTarget),
			r.Rate, r.P50, r.P99, r.LoadBusy*100, r.Others*100)
	}
}
