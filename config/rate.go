package config

import (
	"fmt"
	"strings"
	"time"
)

// Rate is a number of things, or bytes, per period: written 500/s, 100/m or 1MB/s. The zero value
// is no limit.
type Rate struct {
	// N is how many, Per the period; either both are positive or both are 0.
	N   int
	Per time.Duration
}

var ratePeriods = map[string]time.Duration{
	"s": time.Second, "m": time.Minute, "h": time.Hour,
	"sec": time.Second, "min": time.Minute, "hour": time.Hour,
	"second": time.Second, "minute": time.Minute,
}

// UnmarshalText parses a rate; "" and 0 are no limit.
func (r *Rate) UnmarshalText(text []byte) error {
	number, period, found := strings.Cut(string(text), "/")
	if !found && (number == "" || number == "0") {
		*r = Rate{}
		return nil
	}
	per := ratePeriods[strings.TrimSpace(period)]
	var n Size
	if err := n.UnmarshalText([]byte(strings.TrimSpace(number))); err != nil || per == 0 {
		return fmt.Errorf("must be a rate such as 500/s, 100/m or 1MB/s, not %q", text)
	}
	if n == 0 {
		return fmt.Errorf("%q lets nothing through; leave it out for no bound", text)
	}
	*r = Rate{N: int(n), Per: per}
	return nil
}

// PerSecond returns the rate as a number per second; 0 is no limit.
func (r Rate) PerSecond() float64 {
	if r.Per == 0 {
		return 0
	}
	return float64(r.N) / r.Per.Seconds()
}

// String formats the rate as it is parsed.
func (r Rate) String() string {
	for _, period := range []string{"s", "m", "h"} {
		if r.Per != 0 && r.Per == ratePeriods[period] {
			return Size(r.N).String() + "/" + period
		}
	}
	return "0"
}
