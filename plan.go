package polywire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/polywire/polywire/config"
)

// Plan says what another configuration changes about a running broker. Its lists are never nil.
type Plan struct {
	// Endpoints are those of the new configuration in its order, then those that it removes.
	Endpoints []EndpointPlan `json:"endpoints"`
	// Applied are the changed keys outside the endpoints that take effect at once.
	Applied []string `json:"applied"`
	// Restart are the changed keys outside the endpoints that need a restart.
	Restart []string `json:"restart"`
}

// EndpointPlan says what happens to one endpoint.
type EndpointPlan struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Keys are the changed keys: with Live those that are applied, with Reopened those that cannot
	// be.
	Keys []string `json:"keys"`
	// Disconnects is how many connections end.
	Disconnects int `json:"disconnects"`
}

// Outcome is what happens to an endpoint.
type Outcome string

// The outcomes.
const (
	// Unchanged: nothing changes.
	Unchanged Outcome = "unchanged"
	// Live: the changes are applied to the endpoint and its connections, which stay.
	Live Outcome = "live"
	// Added: the endpoint is opened.
	Added Outcome = "added"
	// Reopened: the endpoint is closed and opened again; its clients have to reconnect.
	Reopened Outcome = "reopened"
	// Removed: the endpoint is closed.
	Removed Outcome = "removed"
)

// String formats the plan for people.
func (p EndpointPlan) String() string {
	keys := strings.Join(p.Keys, ", ")
	switch p.Outcome {
	case Live:
		return "applied live (" + keys + ")"
	case Added:
		return "new"
	case Reopened:
		return "needs " + disconnects(p.Disconnects) + " (" + keys + ")"
	case Removed:
		return "removed: " + disconnects(p.Disconnects)
	}
	return string(p.Outcome)
}

func disconnects(n int) string {
	if n == 1 {
		return "1 disconnect"
	}
	return fmt.Sprintf("%d disconnects", n)
}

// Plan says what Reload would do with a configuration that [Load] or [Build] returned, given the
// current connections. It changes nothing. For nil it is empty.
func (b *Broker) Plan(cfg *config.Config) Plan {
	if cfg == nil {
		return Plan{}
	}
	inForce := b.parts.Config()
	p := Plan{Endpoints: []EndpointPlan{}}
	p.Applied, _ = config.Elsewhere(inForce, cfg)
	_, p.Restart = config.Elsewhere(b.cfg, cfg)
	p.Applied = slices.DeleteFunc(p.Applied, func(key string) bool { return slices.Contains(p.Restart, key) })
	for _, c := range config.Compare(inForce, cfg) {
		p.Endpoints = append(p.Endpoints, b.planEndpoint(c))
	}
	return p
}

func (b *Broker) planEndpoint(c config.Change) EndpointPlan {
	p := EndpointPlan{Name: c.Name(), Outcome: Unchanged, Keys: []string{}}
	switch {
	case c.Old == nil:
		p.Outcome = Added
	case c.New == nil:
		p.Outcome = Removed
	case c.Ends():
		p.Outcome, p.Keys = Reopened, c.Fixed
	case len(c.Live) > 0:
		p.Outcome, p.Keys = Live, c.Live
	}
	if c.Ends() {
		p.Disconnects = b.parts.Network.ConnectionsOf(p.Name)
	}
	return p
}
