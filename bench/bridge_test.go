package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestBridgeRow checks that ratios are taken within a round: in the second one the machine is three times
// slower.
func TestBridgeRow(t *testing.T) {
	r := newBridgeRow(16, [][3]cost{
		{byBridge: {CPU: 7, Rate: 1}, byClients: {CPU: 5}, byNobody: {CPU: 1}},
		{byBridge: {CPU: 21, Rate: 2, Others: 0.2}, byClients: {CPU: 15}, byNobody: {CPU: 3}},
		{byBridge: {CPU: 8, Rate: 9, Others: 0.3}, byClients: {CPU: 5}, byNobody: {CPU: 1}},
	})
	if r.burst != 16 || math.Abs(r.ratio-1.4) > 1e-9 || math.Abs(r.added-1.5) > 1e-9 {
		t.Errorf("bursts of %d, ratio %v, beyond neither %v; want 16, 1.4 and 1.5", r.burst, r.ratio, r.added)
	}
	if c := r.costs[byBridge]; c.CPU != 8 || c.Rate != 2 {
		t.Errorf("medians %+v", c)
	}
	for ratio, want := range map[float64]string{1.4: "ok", 1.51: "MISSED"} {
		r.ratio = ratio
		var table strings.Builder
		if err := printBridge(&table, []bridgeRow{r}); err != nil {
			t.Fatal(err)
		}
		if text := table.String(); !strings.Contains(text, want) || !strings.Contains(text, "<= 1.50") || !strings.Contains(text, "bursts of 16") || !strings.Contains(text, "note: other processes") {
			t.Errorf("a ratio of %v: the table lacks %q:\n%s", ratio, want, text)
		}
	}
}

// TestBridge measures the real broker for a moment: every message arrives by a bridge too.
func TestBridge(t *testing.T) {
	bin := t.TempDir()
	buildBroker(t, bin)
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	b := bridgeBench{bench{core: free[0], dir: t.TempDir(), plan: plan{
		rounds: 1, inFlight: []int{1, 16}, cores: free, warmUp: 10 * time.Millisecond, window: 100 * time.Millisecond,
	}}, bin + "/broker"}
	rounds, err := b.rounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rounds) != 2 {
		t.Fatalf("costs %v", rounds)
	}
	for i, burst := range b.plan.inFlight {
		for way, c := range rounds[i][0] {
			if c.CPU <= 0 || c.Rate <= 0 || (c.P50 <= 0) != (bridged(way) == byNobody) {
				t.Errorf("bursts of %d, %s: impossible cost %+v", burst, bridged(way), c)
			}
		}
	}
}
