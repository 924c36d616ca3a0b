package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as 512, 64KiB, 1MiB or 32MB.
type Size int

// maxSize keeps sums of sizes far from overflow.
const maxSize = 1 << 40

var units = []struct {
	suffix string
	bytes  int
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"B", 1},
}

// UnmarshalText parses a size; letter case does not matter.
func (s *Size) UnmarshalText(text []byte) error {
	number, factor := string(text), 1
	for _, u := range units {
		if n := len(number) - len(u.suffix); n >= 0 && strings.EqualFold(number[n:], u.suffix) {
			number, factor = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return fmt.Errorf("must be a size such as 512, 64KiB or 1MiB, not %q", text)
	}
	if n > maxSize/uint64(factor) {
		return fmt.Errorf("%s is too much", text)
	}
	*s = Size(n * uint64(factor))
	return nil
}

// String writes the size in the biggest binary unit that divides it.
func (s Size) String() string {
	for _, u := range []int{2, 1, 0} {
		if s != 0 && int(s)%units[u].bytes == 0 {
			return strconv.Itoa(int(s)/units[u].bytes) + units[u].suffix
		}
	}
	return strconv.Itoa(int(s))
}
