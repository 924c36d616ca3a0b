package main

import (
	"strings"
	"testing"
	"time"
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

func TestParseCoreBusy(t *testing.T) {
	const text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 1000 100 4 5 6 1 1\ncpu1 100 0 0 0 0 0 0 0 0 0\nintr 5\n"
	tests := []struct {
		name, text string
		core       int
		want       time.Duration
		ok         bool
	}{
		{"without idle and guests", text, 0, 210 * time.Millisecond, true},
		{"another core", text, 1, time.Second, true},
		{"no such core", text, 10, 0, false},
		{"no number", "cpu0 a 0 0 0 0 0 0 0\n", 0, 0, false},
		{"too short", "cpu0 1 2\n", 0, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseCoreBusy(strings.NewReader(test.text), test.core)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}
