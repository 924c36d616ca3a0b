package config

import "testing"

func TestRate(t *testing.T) {
	for _, c := range []struct {
		text, want string
		perSecond  float64
	}{
		{"500/s", "500/s", 500},
		{"90/m", "90/m", 1.5},
		{"7200/h", "7200/h", 2},
		{"1MiB/s", "1MiB/s", 1 << 20},
		{"1MB/s", "1000000/s", 1e6},
		{" 10 / sec", "10/s", 10},
		{"", "0", 0},
		{"0", "0", 0},
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(c.text)); err != nil || r.String() != c.want || r.PerSecond() != c.perSecond {
			t.Errorf("%q is %s, %v per second, %v; want %s, %v", c.text, r, r.PerSecond(), err, c.want, c.perSecond)
		}
	}
	for _, text := range []string{"500", "/s", "x/s", "5/fortnight", "-1/s", "1.5/s", "0/s", "5/", "1/s/s"} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %s", text, r)
		}
	}
}
