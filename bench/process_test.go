package main

import (
	"strings"
	"testing"
)

func TestParseRSS(t *testing.T) {
	tests := []struct {
		name, text string
		want       int64
		ok         bool
	}{
		{"as the kernel writes it", "5580-7fff r--p [rollup]\nRss:                4096 kB\nPss:  1 kB\n", 4 << 20, true},
		{"no such line", "Pss: 1 kB\n", 0, false},
		{"no number", "Rss: many kB\n", 0, false},
		{"empty", "", 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseRSS(strings.NewReader(test.text))
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}
