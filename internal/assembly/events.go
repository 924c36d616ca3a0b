package assembly

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/internal/admin"
	"github.com/polywire/polywire/internal/events"
)

// eventsFarewell is how long what waits is still sent when a sink ends.
const eventsFarewell = 3 * time.Second

// eventSink is a configured sink of events. Static after construction.
type eventSink struct {
	name string
	sink *events.Sink
}

// newEventHub returns what shows the observations of the engine to sinks.
func newEventHub(c *cluster) *events.Hub {
	if c != nil {
		return events.NewHub(string(c.backplane.ID()))
	}
	name, _ := os.Hostname() // only a label
	return events.NewHub(name)
}

// addEvents makes the sinks of events. One of the same name keeps what waits.
func (d *draft) addEvents() error {
	for _, c := range d.cfg.Events {
		o, err := eventOptions(c)
		if err != nil {
			return fmt.Errorf("events %q: %w", c.Name, err)
		}
		if i := slices.IndexFunc(d.old.events, func(s *eventSink) bool { return s.name == c.Name }); i >= 0 {
			kept := d.old.events[i]
			d.events = append(d.events, kept)
			d.onCommit(func() { kept.sink.Configure(o) })
			continue
		}
		s := &eventSink{c.Name, events.NewSink(d.hub, o, new(core.SinkStats), d.log.With("events", c.Name))}
		d.events = append(d.events, s)
		d.onStart(s.sink.Start)
	}
	d.onCommit(func() {
		sinks := make([]*events.Sink, len(d.events))
		for i, s := range d.events {
			sinks[i] = s.sink
		}
		var topics *events.Topics
		if d.cfg.HearsSys() {
			topics = d.topics
		}
		d.hub.Use(sinks, topics)
		d.engine.TellSys(topics != nil)
		var observer core.Observer
		if len(sinks) > 0 || topics != nil {
			observer = d.hub
		}
		d.engine.Observe(observer)
	})
	ended := slices.DeleteFunc(slices.Clone(d.old.events), func(s *eventSink) bool { return slices.Contains(d.events, s) })
	d.onStart(func() { d.background.run(func() { closeSinks(ended) }) })
	return nil
}

// newTopics returns what tells events on topics.
func newTopics(h *events.Hub, e *engine.Engine, n *network.Server, log *slog.Logger) *events.Topics {
	return events.NewTopics(h, func(ctx context.Context, topic []byte, payload core.Payload) error {
		if err := n.WaitForRoom(ctx); err != nil {
			return err
		}
		e.Tell(topic, payload)
		return nil
	}, log.With("events", sysName))
}

// sysName names the events on topics among the sinks.
const sysName = "$sys"

// eventOptions returns what a sink is made of.
func eventOptions(c config.EventSink) (o events.Options, err error) {
	text, key := c.Secret, "secret"
	if c.SecretFile != "" {
		key = "secret_file"
		data, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return o, fmt.Errorf("reading secret_file: %w", err)
		}
		text = string(data)
	}
	o = events.Options{
		URL: c.URL, Endpoints: c.Endpoints, Batch: c.Batch,
		Timeout: c.Timeout, RetryFor: c.RetryFor, Queue: int64(c.Queue),
	}
	if o.Secret, err = events.Secret(text); err != nil {
		return o, fmt.Errorf("%s %w", key, err)
	}
	for _, name := range c.On {
		o.Moments = append(o.Moments, core.Moment(name))
	}
	return o, nil
}

// closeSinks ends sinks, and returns when they have ended.
func closeSinks(list []*eventSink) {
	ctx, cancel := context.WithTimeout(context.Background(), eventsFarewell)
	defer cancel()
	var ending sync.WaitGroup
	for _, s := range list {
		ending.Go(func() { s.sink.Close(ctx) })
	}
	ending.Wait()
}

// Events returns the sinks of events.
func (p *Parts) Events() []admin.EventSink {
	var list []admin.EventSink
	for _, s := range p.state.Load().events {
		list = append(list, admin.EventSink{Name: s.name, Stats: s.sink.Stats(), Health: s.sink.Health})
	}
	if p.Config().HearsSys() {
		list = append(list, admin.EventSink{Name: sysName, Stats: p.topics.Stats(), Health: func() error { return nil }})
	}
	return list
}
