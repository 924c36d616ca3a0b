package assembly

import (
	"fmt"
	"testing"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/network"
)

// crippled is the format of a plugin of three processes, of which only some run.
type crippled struct {
	core.Format
	pids []int
}

func (c crippled) Shards() int      { return 3 }
func (c crippled) Processes() []int { return c.pids }

// A plugin of which not all processes run is a warning.
func TestCheckPlugins(t *testing.T) {
	site := func(name string, f core.Format) *site {
		return &site{endpoint: &core.Endpoint{Name: name}, served: network.Endpoint{Format: f}}
	}
	s := newState(new(config.Config))
	s.sites = append(s.sites, site("plain", nil), site("some", crippled{pids: []int{7}}), site("all", crippled{pids: []int{7, 8, 9}}))
	p := new(Parts)
	p.state.Store(s)
	if got, want := fmt.Sprint(p.CheckPlugins()), "[some: 1 of 3 processes of the plugin run all: ]"; got != want {
		t.Errorf("found %s, want %s", got, want)
	}
}
