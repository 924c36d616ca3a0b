package main

import (
	"slices"
	"strings"
	"testing"
)

// TestPlanNodes checks that nodes get configurations of the same cluster under names of their own.
func TestPlanNodes(t *testing.T) {
	embedded, _, err := planEmbedded("/data", []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string][]string{"embedded": embedded, "external": planExternal("redis", "redis://127.0.0.1:1", []string{"a", "b"})} {
		if len(lines) != 2 || !strings.Contains(lines[0], "node: a,") || !strings.Contains(lines[1], "node: b,") {
			t.Errorf("%s: got %q", name, lines)
		}
	}
	_, routes, _ := strings.Cut(embedded[0], "routes:")
	routes, _, _ = strings.Cut(routes, "]")
	if !strings.Contains(embedded[1], routes) || strings.Count(routes, "nats://") != 2 {
		t.Errorf("the nodes have other routes: %q", embedded)
	}
}

func TestHopTargets(t *testing.T) {
	of := &hopCase{mostCPU: targetHopFanOut, leastRate: targetHopRate}
	for name, want := range map[string]float64{engineEmbedded: targetHopFanOut, engineNATS: targetHopFanOut, engineRedis: 0, bedAlone: 0} {
		if got, _ := (hopRow{of: of, name: name}).targets(); got != want {
			t.Errorf("%s may cost %v, want %v", name, got, want)
		}
	}
	for value, want := range map[float64]string{0.69: "MISSED", 0.7: "ok", 2: "ok"} {
		if got := atLeast(value, targetHopRate); !strings.HasSuffix(got, want) {
			t.Errorf("%v is %q, want %s", value, got, want)
		}
	}
}

func TestMedianTopics(t *testing.T) {
	got := medianTopics([]topicFigure{
		{CPU: [3]float64{1, 10, 0}, Bytes: [3]float64{7, 0, 0}, Taken: 3, Heard: 4, Joined: 9},
		{CPU: [3]float64{3, 20, 0}, Bytes: [3]float64{9, 0, 0}, Taken: 1, Heard: 5, Joined: 7},
		{CPU: [3]float64{2, 60, 0}, Bytes: [3]float64{8, 0, 0}, Taken: 2, Heard: 6, Joined: 8},
	})
	if want := (topicFigure{CPU: [3]float64{2, 20, 0}, Bytes: [3]float64{8, 0, 0}, Taken: 2, Heard: 5, Joined: 8}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestStreamTakes checks that messages are found whatever their pieces are.
func TestStreamTakes(t *testing.T) {
	d := streamDialect{publish: text(delivered), receive: text(delivered)}
	frame := func(seq uint64) []byte { return sized(plainHub).serverFrame(write(text(delivered), seq)) }
	bytes := slices.Concat(frame(0), frame(1), frame(2))
	for size := range len(bytes) {
		s := &stream{d: d, receive: newPattern(d.receive), latency: new(histogram), next: 3}
		for piece := range slices.Chunk(bytes, size+1) {
			if err := s.unframe(piece); err != nil {
				t.Fatalf("in pieces of %d: %v", size+1, err)
			}
		}
		if s.done != 3 || s.latency.total != 1 {
			t.Fatalf("in pieces of %d: %d messages, %d latencies", size+1, s.done, s.latency.total)
		}
	}
	for name, wrong := range map[string][]byte{"repeated": slices.Concat(frame(0), frame(0)), "lost": frame(1), "a close frame": {0x88, 0}} {
		s := &stream{d: d, receive: newPattern(d.receive), latency: new(histogram), next: 3}
		if err := s.unframe(wrong); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
