package main

import (
	"strings"
	"testing"
)

// TestSummarizeCalls checks that ratios are taken within a round and that targets are
// bounds of CPU.
func TestSummarizeCalls(t *testing.T) {
	window := func(server string, round, outstanding int, cpu float64) callFigure {
		return callFigure{Server: server, Round: round, Outstanding: outstanding, cost: cost{CPU: cpu}}
	}
	figures := []callFigure{
		window(callReference, 1, 0, 20), window("a", 1, 0, 10), window("a", 1, 9, 12),
		window(callReference, 2, 0, 40), window("a", 2, 0, 20), window("a", 2, 9, 20),
		window(callReference, 3, 0, 40), window("a", 3, 0, 24), window("a", 3, 9, 25.2),
	}
	servers := []callContender{{server: server{name: callReference}}, {server: server{name: "a"}, target: 20}, {server: server{name: "not run"}}}
	rows := summarizeCalls(figures, servers)
	want := []callRow{
		{Server: callReference, cost: cost{CPU: 40}, Ratio: 1},
		{Server: "a", cost: cost{CPU: 20}, Ratio: 0.5, Target: 20, RatioTarget: 20 / referenceMark},
		{Server: "a", Outstanding: 9, cost: cost{CPU: 20}, Ratio: 0.6, Target: 20, RatioTarget: 20 / referenceMark, Beside: 1.05, BesideTarget: targetBeside},
	}
	if len(rows) != len(want) {
		t.Fatalf("got %+v", rows)
	}
	for i, r := range rows {
		// 25.2/24 is not exact in binary.
		if near := want[i].Beside - r.Beside; near < 1e-9 && near > -1e-9 {
			r.Beside = want[i].Beside
		}
		if r != want[i] {
			t.Errorf("row %d: got %+v, want %+v", i, r, want[i])
		}
	}
	var text strings.Builder
	report := report{Calls: rows}
	if err := report.print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<= 20", "<= 0.877", "ok", "1.050", "<= 1.10"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "subscribers") {
		t.Errorf("there is a table of what was not measured:\n%s", &text)
	}
}
