package assembly

import (
	"fmt"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

// processes is a format whose plugin has processes.
type processes interface {
	// Shards is how many there are to be, and Processes are the ids of those that serve.
	Shards() int
	Processes() []int
}

// CheckPlugins warns of plugins with processes that do not serve. After Start.
func (p *Parts) CheckPlugins() (found []admin.Finding) {
	look := func(name string, format core.Format) {
		plugin, ok := format.(processes)
		if !ok {
			return
		}
		f := admin.Finding{Component: name, Observed: len(plugin.Processes()), Unit: "processes"}
		if n := plugin.Shards(); f.Observed != n {
			f.Status, f.Text = admin.Warn, fmt.Sprintf("%d of %d processes of the plugin run", f.Observed, n)
		}
		found = append(found, f)
	}
	s := p.state.Load()
	for _, one := range s.sites {
		look(one.name(), one.served.Format)
	}
	for _, b := range s.bridges {
		look(b.config.Name, b.config.Format)
	}
	return found
}

// disk is a session store on one.
type disk interface {
	// Check returns why sessions cannot be kept, or that less than space bytes are left.
	Check(space uint64) error
}

// CheckSessions warns of session stores whose disk takes nothing, or has less than space bytes left.
func (p *Parts) CheckSessions(space uint64) (found []admin.Finding) {
	for _, ep := range p.Endpoints() {
		store, ok := ep.Sessions.(disk)
		if !ok {
			continue
		}
		f := admin.Finding{Component: ep.Name}
		if err := store.Check(space); err != nil {
			f.Status, f.Text = admin.Warn, err.Error()
		}
		found = append(found, f)
	}
	return found
}
