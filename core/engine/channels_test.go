package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// names returns the names of the channels around an address.
func (s *channelSet) names(address string) (names []string) {
	s.around([]byte(address), func(c *channel) bool {
		if c.has([]byte(address)) {
			names = append(names, c.name)
		}
		return true
	})
	return names
}

func TestChannelsAround(t *testing.T) {
	for address, want := range map[string][]string{
		"":       {""},
		"a":      {"a"},
		"a/b/c":  {"a", "a/b", "a/b/c"},
		"/":      {"", "/"},
		"/a":     {"", "/a"},
		"a//b":   {"a", "a/", "a//b"},
		"a/":     {"a", "a/"},
		"news/é": {"news", "news/é"},
	} {
		s := newChannelSet()
		var all []*channel
		for _, name := range append(want, "b", "a/b/cc", "news/e", "ab", "//") {
			all = append(all, &channel{name: name})
			s.add(all[len(all)-1])
		}
		if got := s.names(address); !slices.Equal(got, want) {
			t.Errorf("around %q: %q, want %q", address, got, want)
		}
		for _, c := range all {
			s.remove(c)
		}
		if got := s.names(address); got != nil || len(s.byHash) > 0 {
			t.Errorf("around %q: %q are left", address, got)
		}
	}
}

// TestChannelsAroundAny looks at random addresses, long ones too, as the hash is of pieces.
func TestChannelsAroundAny(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		levels := make([]string, 1+rnd.IntN(12))
		for i := range levels {
			levels[i] = strings.Repeat(string(rune('a'+rnd.IntN(2))), rnd.IntN(3)*rnd.IntN(90))
		}
		address := strings.Join(levels, "/")
		s := newChannelSet()
		var want []string
		for i := range levels {
			name := strings.Join(levels[:i+1], "/")
			if rnd.IntN(2) == 0 {
				want = append(want, name)
				s.add(&channel{name: name})
			} else {
				s.add(&channel{name: name + "x"})
			}
		}
		if got := s.names(address); !slices.Equal(got, want) {
			t.Fatalf("around %q: %q, want %q", address, got, want)
		}
	}
}

// BenchmarkChannelsAround looks up the longest address, which has as many levels as it may.
func BenchmarkChannelsAround(b *testing.B) {
	s := newChannelSet()
	s.add(&channel{name: "somebody's"})
	address := []byte(strings.Repeat(strings.Repeat("x", 255)+"/", 255))
	b.SetBytes(int64(len(address)))
	for b.Loop() {
		s.around(address, func(*channel) bool { return true })
	}
}
