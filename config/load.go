package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/polywire/polywire/core"
)

// Source is where a configuration comes from.
type Source struct {
	// File is the path of the YAML file.
	File string
	// Text is the YAML itself, for programs that have no file; File is then only the name in
	// faults, "config" if it is empty.
	Text string
	// Env is the environment, as os.Environ returns it: for overrides and for
	// ${NAME} in the file.
	Env []string
	// Set are the flags; a later one wins.
	Set []Override
	// Plugin returns the protocol that the plugin of an endpoint, or of a bridge, speaks. Its error may begin with a
	// key of the plugin, as in "command: text". Nil means that there are no plugins.
	Plugin func(endpoint string, p Plugin) (core.Protocol, error)
}

// Load reads and checks the configuration. protocols are the formats that an endpoint may name;
// Load makes the endpoints' formats with them. The error is [Errors], with every fault, unless the
// file cannot be read.
func Load(src Source, protocols []core.Protocol) (*Config, error) {
	data, err := src.read()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	r := &report{file: src.name(), written: make(map[string]position)}
	tree, ok := (&file{report: r, lookup: lookup(src.Env)}).parse(data)
	if !ok {
		return nil, r.sorted()
	}
	merged := koanf.New(".")
	if err := merged.Load(confmap.Provider(tree, ""), nil); err != nil {
		return nil, fmt.Errorf("merging the configuration: %w", err)
	}
	r.mistaken(src.Env, tree)
	for _, o := range environment(src.Env) {
		r.override(merged, o)
	}
	for _, o := range src.Set {
		r.override(merged, o)
	}
	cfg := r.read(merged.Raw(), protocols, src.Plugin)
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	return cfg, nil
}

func (src Source) read() ([]byte, error) {
	if src.Text != "" {
		return []byte(src.Text), nil
	}
	return os.ReadFile(src.File)
}

// name is the file name in faults.
func (src Source) name() string {
	if src.File == "" {
		return "config"
	}
	return src.File
}

// read decodes the merged tree and checks every value.
func (r *report) read(tree map[string]any, protocols []core.Protocol, plugin pluginMaker) *Config {
	cfg := Defaults()
	r.decode("", tree, reflect.ValueOf(&cfg).Elem())
	if len(cfg.Endpoints) == 0 && !r.meant("endpoints", tree) {
		r.add("endpoints", "there is no endpoint; list at least one")
	}
	entries, _ := tree["endpoints"].(map[string]any)
	for i := range cfg.Endpoints {
		index := fmt.Sprint(i)
		fields, _ := entries[index].(map[string]any)
		e := &endpointReader{report: r, path: "endpoints." + index, fields: fields, plugin: plugin}
		e.read(&cfg.Endpoints[i], protocols)
	}
	limitOutput(cfg.Endpoints)
	services, _ := tree["services"].(map[string]any)
	r.checkServices(cfg.Services, services)
	r.checkCalls(cfg.Calls)
	r.readAdmin("admin", &cfg.Admin, tree)
	r.readAdmin("api", &cfg.API, tree)
	r.checkHealth(cfg.Admin.Health)
	r.checkRedact(cfg.Admin.Redact)
	r.checkLog(cfg.Log)
	r.checkNetwork(cfg.Network, cfg.Endpoints)
	r.checkDrain(cfg.Drain)
	r.checkCluster(&cfg.Cluster)
	r.checkTraces(cfg.Traces)
	r.checkClustered(&cfg)
	r.checkNames(cfg.Endpoints)
	r.checkBridges(cfg.Bridges, tree, cfg.Endpoints, protocols, plugin)
	r.checkEvents(cfg.Events, cfg.Endpoints, cfg.Bridges)
	r.checkAddresses(&cfg)
	r.checkClusterAddresses(&cfg)
	r.checkProxies(cfg.Endpoints, cfg.Network.TrustedProxies)
	return &cfg
}

// limitOutput sets the outbound limits that were not given: the biggest message that a client of
// any endpoint may send fits behind another one, with room to spare.
func limitOutput(endpoints []Endpoint) {
	biggest := Size(0)
	for i := range endpoints {
		biggest = max(biggest, endpoints[i].MaxMessageSize)
	}
	for i := range endpoints {
		if endpoints[i].OutboundLimit == 0 {
			endpoints[i].OutboundLimit = biggest + 1<<20
		}
	}
}

// meant reports whether a top-level list was given but is wrong: the fault in it is already
// reported, and to report that it is empty would be noise.
func (r *report) meant(list string, tree map[string]any) bool {
	if slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Path == list }) {
		return true
	}
	for key := range tree {
		if key != list && suggest(key, []string{list}) != "" {
			return true
		}
	}
	return false
}

// lookup looks variables up in env, where the last one of a name wins.
func lookup(env []string) func(string) (string, bool) {
	values := make(map[string]string, len(env))
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}
