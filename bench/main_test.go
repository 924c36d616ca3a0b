package main

import (
	"regexp"
	"slices"
	"testing"
)

func TestChoose(t *testing.T) {
	tests := []struct {
		only string
		want []string
	}{
		{"", []string{reference, "gws", "broker wubsub", "broker wsify", "broker stocking", "broker vws", "broker webwire", mixed}},
		{"vws|mixed", []string{reference, "broker vws", mixed}},
		{"gws", []string{reference, "gws"}},
		{"^none$", []string{reference}},
	}
	for _, test := range tests {
		t.Run(test.only, func(t *testing.T) {
			var got []string
			for _, c := range choose(contenders("", ""), reference, regexp.MustCompile(test.only)) {
				got = append(got, c.name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
