package admin

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Status is what a named check says. A higher one is worse.
type Status int

// The statuses.
const (
	// Pass: all is well.
	Pass Status = iota
	// Warn: somebody should look at it; clients are served.
	Warn
	// Fail: no client should be sent here.
	Fail
)

func (s Status) String() string { return [...]string{"pass", "warn", "fail"}[s] }

// Finding is what a check says of one component.
type Finding struct {
	// Component is its name; "" is the broker.
	Component string
	Status    Status
	// Text says what is the matter.
	Text string
	// Observed is what was measured, in Unit; nil is nothing.
	Observed any
	Unit     string

	// told is what /readyz says of it without parameters; "" is nothing if clients are served.
	told string
}

// String returns the text with the component before it.
func (f Finding) String() string {
	if f.Component == "" {
		return f.Text
	}
	return f.Component + ": " + f.Text
}

// Level is what an operator wants to be made of what a check finds.
type Level int

// The levels.
const (
	// Own: what the check says itself.
	Own Level = iota
	// Off: the check is not made.
	Off
	// AsWarning: nothing is worse than a warning.
	AsWarning
	// AsFailure: a warning is a failure.
	AsFailure
)

// Health is what only the broker can look at. Its functions may be called from any goroutine, and return soon. Nil ones
// find nothing.
type Health struct {
	// Levels returns the levels of checks, by name.
	Levels func() map[string]Level
	// Listeners, Loops, Plugins and Sessions are checks.
	Listeners, Loops, Plugins, Sessions func() []Finding
	// CertificateDays returns how many days before its end a certificate is a warning.
	CertificateDays func() int
}

// The names of the checks that others are told apart from.
const (
	checkAccepting = "accepting"
	checkCluster   = "cluster"
)

// check is a named check.
type check struct {
	name string
	look func() []Finding // nil finds nothing
	live bool             // it is one of /livez too
}

// checks returns the checks, in the order in which they are told.
func (s *Source) checks() []check {
	return []check{
		{name: checkAccepting, look: s.checkAccepting},
		{name: "listeners", look: s.Health.Listeners},
		{name: "loops", look: s.Health.Loops, live: true},
		{name: "plugins", look: s.Health.Plugins},
		{name: "certificates", look: s.checkCertificates},
		{name: "memory", look: s.checkMemory},
		{name: checkCluster, look: s.checkCluster},
		{name: "bridges", look: s.checkBridges},
		{name: "sessions", look: s.Health.Sessions},
		{name: "events", look: s.checkEvents},
	}
}

func (s *Source) checkAccepting() []Finding {
	if s.Ready() {
		return nil
	}
	return []Finding{{Status: Fail, Text: "not ready", told: "not ready"}}
}

// checkCluster fails for a node that has not been part of the cluster yet. One that has lost the others takes clients:
// these talk with each other, and if all nodes have lost the engine, none would be ready.
func (s *Source) checkCluster() []Finding {
	if s.Cluster == nil {
		return nil
	}
	err := s.Cluster.Health()
	switch {
	case err == nil:
		return nil
	case s.Cluster.Stats.Connects.Load() == 0:
		text := fmt.Sprintf("joining the cluster: %v", err)
		return []Finding{{Status: Fail, Text: text, told: "not ready: " + text}}
	}
	return []Finding{{Status: Warn, Text: err.Error(), told: fmt.Sprintf("but for the cluster: %v", err)}}
}

// checkBridges warns: a broker does not serve its clients less because an old server is away.
func (s *Source) checkBridges() (found []Finding) {
	for _, b := range s.Bridges() {
		f := Finding{Component: b.Name}
		if node := b.Standby(); node != "" {
			f.Text = fmt.Sprintf("node %s runs it", node)
			f.told = fmt.Sprintf("standing by for the bridge %s, which node %s runs", b.Name, node)
		} else if err := b.Health(); err != nil {
			f.Status, f.Text = Warn, err.Error()
			f.told = fmt.Sprintf("but for the bridge %s: %v", b.Name, err)
		}
		found = append(found, f)
	}
	return found
}

func (s *Source) checkEvents() (found []Finding) {
	for _, b := range s.events() {
		f := Finding{Component: b.Name, Observed: b.Stats.Queued.Load(), Unit: "events"}
		if err := b.Health(); err != nil {
			f.Status, f.Text = Warn, err.Error()
		}
		found = append(found, f)
	}
	return found
}

func (s *Source) checkCertificates() (found []Finding) {
	days := 14
	if s.Health.CertificateDays != nil {
		days = s.Health.CertificateDays()
	}
	for _, c := range s.Certificates() {
		left := int(time.Until(c.Expires) / (24 * time.Hour))
		f := Finding{Component: c.Endpoint, Observed: left, Unit: "d"}
		switch {
		case time.Now().After(c.Expires):
			f.Status, f.Text = Warn, fmt.Sprintf("%s has ended at %s", c.File, c.Expires.UTC().Format(time.RFC3339))
		case time.Until(c.Expires) < time.Duration(days)*24*time.Hour:
			f.Status, f.Text = Warn, fmt.Sprintf("%s ends at %s", c.File, c.Expires.UTC().Format(time.RFC3339))
		}
		found = append(found, f)
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Component, b.Component) })
	return found
}

// checkMemory warns when nine tenths of what may be used are.
func (s *Source) checkMemory() []Finding {
	of := func(component, key string, used, limit uint64) Finding {
		f := Finding{Component: component, Observed: used, Unit: "B"}
		if limit > 0 && used >= limit/10*9 {
			f.Status, f.Text = Warn, fmt.Sprintf("%d of %d MiB (%s)", used>>20, limit>>20, key)
		}
		return f
	}
	used, watermark := s.Memory()
	return []Finding{
		of("process", "network.memory_watermark", used, watermark),
		of("outbound", "network.outbound_budget", uint64(max(s.Outbound(), 0)), uint64(max(s.OutboundBudget, 0))),
		of("inbound", "network.inbound_budget", uint64(max(s.Inbound(), 0)), uint64(max(s.InboundBudget(), 0))),
	}
}

// result is what a check has found.
type result struct {
	name    string
	status  Status
	skipped string // why it was not made: "off" or "excluded"; else ""
	found   []Finding
}

// run makes the checks that wanted is true of, as their levels say.
func (s *Source) run(all []check, wanted func(name string) bool) []result {
	var levels map[string]Level
	if s.Health.Levels != nil {
		levels = s.Health.Levels()
	}
	var results []result
	for _, c := range all {
		r := result{name: c.name}
		level := levels[c.name]
		switch {
		case level == Off:
			r.skipped = "off"
		case !wanted(c.name):
			r.skipped = "excluded"
		case c.look != nil:
			r.found = c.look()
		}
		for i := range r.found {
			f := &r.found[i]
			switch {
			case level == AsWarning && f.Status == Fail:
				f.Status, f.told = Warn, fmt.Sprintf("but for %s: %s", c.name, f)
			case level == AsFailure && f.Status == Warn:
				f.Status, f.told = Fail, ""
			}
			r.status = max(r.status, f.Status)
		}
		results = append(results, r)
	}
	return results
}
