package main

import (
	"slices"
	"strings"
	"testing"
)

// TestSummarize checks that ratios are taken within a round: the machine is
// three times slower in round 2, and the ratio does not see it.
func TestSummarize(t *testing.T) {
	r := summarize(figures{
		Windows: []figure{
			{Server: "gorilla", Round: 1, Subscribers: 1000, InFlight: 1, cost: cost{CPU: 10}},
			{Server: "broker wubsub", Round: 1, Subscribers: 1000, InFlight: 1, cost: cost{CPU: 8}},
			{Server: "gorilla", Round: 2, Subscribers: 1000, InFlight: 1, cost: cost{CPU: 30}},
			{Server: "broker wubsub", Round: 2, Subscribers: 1000, InFlight: 1, cost: cost{CPU: 24}},
			{Server: "gorilla", Round: 1, Subscribers: 100, InFlight: 16, cost: cost{CPU: 10}},
			{Server: "broker wubsub", Round: 1, Subscribers: 100, InFlight: 16, cost: cost{CPU: 9}},
			{Server: "gorilla", Round: 1, Subscribers: 1000, InFlight: 16, cost: cost{CPU: 10}},
			{Server: "broker wubsub", Round: 1, Subscribers: 1000, InFlight: 16, cost: cost{CPU: 2, Others: 0.3}},
		},
		Weights: []weight{{"gorilla", 20 << 10}, {"broker wubsub", 2 << 10}},
	})
	var got []string
	for _, w := range r.Rows {
		if w.Server == "broker wubsub" {
			got = append(got, verdict("%.2f\t%s", w.Ratio, w.Target))
			if w.Subscribers == 1000 && w.InFlight == 1 && (w.Ratio != 0.8 || w.CPU != 16) {
				t.Errorf("ratio %v and CPU %v, want 0.8 and 16", w.Ratio, w.CPU)
			}
		}
	}
	if want := "0.85\tok|0.10\tMISSED|\t"; strings.Join(got, "|") != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
	if w := r.Weights[1]; w.Ratio != 0.1 || w.Target != targetWeight {
		t.Errorf("weight %+v, want ratio 0.1 and a target", w)
	}
	var text strings.Builder
	if err := r.print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ok", "MISSED", "2.00", "broker wubsub", "30 %", "note: other processes"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &text)
		}
	}
}

// TestMixed checks that the mixed contender is compared with the format that is dearest over all
// rounds, within each round.
func TestMixed(t *testing.T) {
	window := func(server string, round, inFlight int, cpu float64) figure {
		return figure{Server: server, Round: round, Subscribers: 1000, InFlight: inFlight, cost: cost{CPU: cpu}}
	}
	windows := []figure{
		window("gorilla", 1, 1, 50), window("broker vws", 1, 1, 10), window("broker wsify", 1, 1, 5), window(mixed, 1, 1, 11),
		window("gorilla", 2, 1, 50), window("broker vws", 2, 1, 30), window("broker wsify", 2, 1, 31), window(mixed, 2, 1, 36),
		window("gorilla", 3, 1, 50), window("broker vws", 3, 1, 10), window("broker wsify", 3, 1, 5), window(mixed, 3, 1, 11),
		window("broker vws", 1, 16, 1), window(mixed, 1, 16, 0.5),
	}
	tests := []struct {
		name    string
		windows []figure
		want    []mixedRow
	}{
		{"all", windows, []mixedRow{
			{1000, 1, 11, "broker vws", 1.1, targetMixed},
			{1000, 16, 0.5, "broker vws", 0.5, targetMixed},
		}},
		{"no single format", []figure{window("gorilla", 1, 1, 50), window(mixed, 1, 1, 11)}, nil},
		{"not mixed", []figure{window("broker vws", 1, 1, 10)}, nil},
		{
			"no target",
			[]figure{{Server: "broker vws", Subscribers: 100, cost: cost{CPU: 2}}, {Server: mixed, Subscribers: 100, cost: cost{CPU: 3}}},
			[]mixedRow{{100, 0, 3, "broker vws", 1.5, 0}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := summarize(figures{Windows: test.windows}).Mixed; !slices.Equal(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	var text strings.Builder
	if err := summarize(figures{Windows: windows}).print(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "1.100") || strings.Contains(text.String(), "idle subscriber") {
		t.Errorf("the tables lack the mixed ratio or have weights:\n%s", &text)
	}
}

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 2, 9}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := median(test.values); got != test.want {
				t.Errorf("median = %v, want %v", got, test.want)
			}
		})
	}
}
