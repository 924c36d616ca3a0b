package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Health says what the named checks of the admin server make of what they find. A check that is "" judges for itself.
type Health struct {
	Listeners    HealthLevel `koanf:"listeners"`
	Loops        HealthLevel `koanf:"loops"`
	Plugins      HealthLevel `koanf:"plugins"`
	Certificates HealthLevel `koanf:"certificates"`
	Memory       HealthLevel `koanf:"memory"`
	Cluster      HealthLevel `koanf:"cluster"`
	Bridges      HealthLevel `koanf:"bridges"`
	Sessions     HealthLevel `koanf:"sessions"`
	Events       HealthLevel `koanf:"events"`

	// LoopTimeout is after how long an event loop is said to stand still.
	LoopTimeout time.Duration `koanf:"loop_timeout"`
	// CertificateDays is how many days before its end a certificate is a finding.
	CertificateDays int `koanf:"certificate_days"`
	// SessionSpace is how much space the disk of a session store must have left.
	SessionSpace Size `koanf:"session_space"`
}

// HealthLevel is what a check makes of what it finds: off, warn or fail; "" is what it judges itself.
type HealthLevel string

// The levels.
const (
	HealthOff  HealthLevel = "off"
	HealthWarn HealthLevel = "warn"
	HealthFail HealthLevel = "fail"
)

// UnmarshalText parses off, warn or fail.
func (h *HealthLevel) UnmarshalText(text []byte) error {
	levels := []string{string(HealthOff), string(HealthWarn), string(HealthFail)}
	if !slices.Contains(levels, string(text)) {
		return fmt.Errorf("must be %s, not %q%s", strings.Join(levels, ", "), text, suggest(string(text), levels))
	}
	*h = HealthLevel(text)
	return nil
}

func (r *report) checkHealth(h Health) {
	if h.LoopTimeout < time.Second {
		r.add("admin.health.loop_timeout", "must be at least 1s")
	}
	if h.CertificateDays < 0 {
		r.add("admin.health.certificate_days", "must not be negative")
	}
}
