package coretest

import "testing"

// A port that nobody listens on yet is not returned again.
func TestFreePort(t *testing.T) {
	seen := make(map[int]bool)
	for range 2000 {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("%d is returned twice", port)
		}
		seen[port] = true
	}
}
