package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSecureLoad measures the real reference and the real broker for a moment.
func TestSecureLoad(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "./peers/...").CombinedOutput(); err != nil {
		t.Fatalf("building peers: %v\n%s", err, out)
	}
	buildBroker(t, bin)
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	b := bench{core: free[0], dir: t.TempDir(), plan: plan{
		rounds: 2, subscribers: []int{20}, inFlight: []int{1, 16}, idle: 50,
		warmUp: 10 * time.Millisecond, window: 50 * time.Millisecond, settle: 10 * time.Millisecond,
	}}
	rows, err := b.secureRows(t.Context(), bin+"/broker", bin)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Server != reference || !ours(rows[1].Server) {
		t.Fatalf("rows %+v", rows)
	}
	for _, r := range rows {
		for _, n := range []int{1, 16} {
			if r.CPU[n] <= 0 || r.CPURatio[n] <= 0 {
				t.Errorf("impossible figures %+v", r)
			}
		}
	}
	if rows[0].CPURatio[1] != 1 || rows[0].BytesRatio != 1 {
		t.Errorf("the reference is not 1 of itself: %+v", rows[0])
	}
	var table strings.Builder
	if err := printSecure(&table, rows, []int{1, 16}); err != nil {
		t.Fatal(err)
	}
	if words := strings.Fields(table.String()); !slices.Contains(words, "vws") || !slices.Contains(words, "1.000") {
		t.Errorf("table %s", table.String())
	}
}
