package polywire

import (
	"errors"
	"strings"
	"time"

	"github.com/polywire/polywire/config"
)

var errNoSource = errors.New("the broker does not know where its configuration comes from")

// Reload puts another configuration, one that New takes, in force while clients are
// connected, and says what changed. Connections of endpoints that do not change, or whose changes
// can be applied live, stay. Those of other endpoints hear the goodbye at the pace of drain, and
// Reload does not wait for that. After an error nothing has changed. Handlers of Handle, Otherwise
// and Hear stay as they are. Reloads run one after the other.
func (b *Broker) Reload(cfg *config.Config) (Plan, error) {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	defer b.begin()()
	plan, err := b.reload(cfg)
	b.report(plan, err)
	return plan, err
}

// Reread reads the configuration from [WithSource] and does Reload with it, or with dryRun Plan.
func (b *Broker) Reread(dryRun bool) (Plan, error) {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	load := b.source
	if load == nil {
		return Plan{}, errNoSource
	}
	if !dryRun {
		defer b.begin()()
	}
	cfg, err := load()
	if err == nil {
		cfg, err = ready(cfg, b.log)
	}
	if dryRun {
		if err != nil {
			return Plan{}, err
		}
		return b.Plan(cfg), nil
	}
	var plan Plan
	if err == nil {
		plan, err = b.reload(cfg)
	}
	b.report(plan, err)
	return plan, err
}

// reload is the body of Reload. The caller holds reloading.
func (b *Broker) reload(cfg *config.Config) (Plan, error) {
	if !b.life.serving() {
		return Plan{}, errNotRunning
	}
	cfg, err := ready(cfg, b.log)
	if err != nil {
		return Plan{}, err
	}
	plan := b.Plan(cfg)
	own, err := gather(cfg, b.options)
	if err != nil {
		return Plan{}, err
	}
	if err := b.parts.Replace(cfg, own.program); err != nil {
		return Plan{}, err
	}
	own.setLevel()
	return plan, nil
}

// report counts and logs the result of a reload.
func (b *Broker) report(p Plan, err error) {
	if err != nil {
		b.reloads.Failed.Add(1)
		for line := range strings.SplitSeq(err.Error(), "\n") {
			b.log.Error("the configuration is not reloaded, nothing has changed", "error", line)
		}
		return
	}
	b.reloads.Done.Add(1)
	b.reloads.Last.Store(time.Now().Unix())
	for _, ep := range p.Endpoints {
		if ep.Outcome != Unchanged {
			b.log.Info("endpoint reloaded", "endpoint", ep.Name, "outcome", ep.String())
		}
	}
	if len(p.Restart) > 0 {
		b.log.Warn("some changes need a restart", "keys", strings.Join(p.Restart, " "))
	}
	b.log.Info("configuration reloaded", "endpoints", len(p.Endpoints), "applied", strings.Join(p.Applied, " "))
}
