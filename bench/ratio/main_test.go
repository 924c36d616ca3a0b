package main

import (
	"strings"
	"testing"
)

func TestRatio(t *testing.T) {
	const output = `goos: linux
BenchmarkMatch/100-2 	 2870204	       400.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkMatch/100000-2         	 2122022	       900 ns/op
BenchmarkMatch/100000-2         	 2122022	       500 ns/op
BenchmarkMatch/100000-2         	 2122022	       700 ns/op
BenchmarkParser     	   42344	     800.5 ns/op	2357.39 MB/s
ok  	github.com/polywire/polywire/core/engine	7.335s
`
	tests := []struct {
		name, of, to string
		want         string
	}{
		{"the fastest of several", "Match/100000", "Match/100", "Match/100000 takes 1.25 of Match/100, target <= 2.00  ok"},
		{"one processor", "Parser", "Match/100", "Parser takes 2.00 of Match/100, target <= 2.00  MISSED"},
		{"missing", "Match/100", "Match/7", "error: comparing: the output lacks Match/100 or Match/7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			times, err := pass(strings.NewReader(output), &out)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != output {
				t.Errorf("passed on %q", &out)
			}
			got, err := compare(times, test.of, test.to, 2)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
