package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

// TestRecordingRow checks that the share of a core is taken within a round.
func TestRecordingRow(t *testing.T) {
	r := newRecordingRow(16, []cost{{CPU: 10, Rate: 20_000}, {CPU: 40, Rate: 20_000}, {CPU: 20, Rate: 15_000, Others: 0.3}})
	if r.burst != 16 || math.Abs(r.share-0.3) > 1e-9 || r.cost.CPU != 20 {
		t.Errorf("%+v; want bursts of 16, 0.3 of a core, 20 µs", r)
	}
	for share, want := range map[float64]string{0.3: "ok", 1.1: "MISSED"} {
		r.share, r.cost.Others = share, 0.5
		var table strings.Builder
		if err := printRecording(&table, []recordingRow{r}); err != nil {
			t.Fatal(err)
		}
		if text := table.String(); !strings.Contains(text, want) || !strings.Contains(text, "bursts of 16") || !strings.Contains(text, "note: other processes") {
			t.Errorf("%v of a core: the table lacks %q:\n%s", share, want, text)
		}
	}
}

// TestRecording measures the real broker for a moment.
func TestRecording(t *testing.T) {
	bin := t.TempDir()
	buildBroker(t, bin)
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	b := recordingBench{bench{core: free[0], dir: t.TempDir(), plan: plan{
		inFlight: []int{1, 16}, cores: free, warmUp: 10 * time.Millisecond, window: 100 * time.Millisecond,
	}}, bin + "/broker"}
	costs, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(costs) != 2 {
		t.Fatalf("costs %v", costs)
	}
	for i, c := range costs {
		if c.CPU <= 0 || c.Rate <= 0 || c.P50 <= 0 {
			t.Errorf("bursts of %d: impossible cost %+v", b.plan.inFlight[i], c)
		}
	}
}
