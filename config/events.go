package config

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
)

// EventSink is an HTTP server that is told what clients do.
type EventSink struct {
	// Name is the sink's name in logs, metrics and health: letters, digits, - and _.
	Name string `koanf:"name"`
	// URL is where the events are sent to.
	URL string `koanf:"url"`
	// Secret signs the requests, or that in SecretFile does.
	Secret     string `koanf:"secret"`
	SecretFile string `koanf:"secret_file"`
	// On are the events that are sent; nil is all.
	On []EventName `koanf:"on"`
	// Endpoints are the endpoints and bridges of whose clients events are sent; nil is all.
	Endpoints []string `koanf:"endpoints"`
	// Batch is how many events a request has at most.
	Batch int `koanf:"batch"`
	// Timeout is for one request.
	Timeout time.Duration `koanf:"timeout"`
	// RetryFor is how long a batch is tried that is not taken.
	RetryFor time.Duration `koanf:"retry_for"`
	// Queue is how many bytes of events may wait; each counts its texts and 512.
	Queue Size `koanf:"queue"`
}

// EventName is the name of an event.
type EventName core.Moment

// UnmarshalText parses a name.
func (e *EventName) UnmarshalText(text []byte) error {
	m, ok := core.MomentNamed(string(text))
	if !ok {
		var names []string
		for m := range core.NumMoments {
			names = append(names, m.String())
		}
		return unknown("event", string(text), names)
	}
	*e = EventName(m)
	return nil
}

// The bounds of a sink.
const (
	maxEventBatch = 10000
	minEventQueue = 64 << 10
)

// checkEvents checks the sinks of events, and fills in what was left out.
func (r *report) checkEvents(sinks []EventSink, endpoints []Endpoint, bridges []Bridge) {
	var known []string
	for i := range endpoints {
		known = append(known, endpoints[i].Name)
	}
	for i := range bridges {
		known = append(known, bridges[i].Name)
	}
	taken := make(map[string]bool)
	for i := range sinks {
		s, path := &sinks[i], "events."+strconv.Itoa(i)
		fault := func(key, format string, args ...any) { r.add(join(path, key), format, args...) }
		switch {
		case s.Name == "":
			fault("name", "is missing")
		case !isWord(s.Name):
			fault("name", "%q may hold letters, digits, - and _ only", s.Name)
		case taken[canonical(s.Name)]:
			fault("name", "%q is taken already", s.Name)
		}
		taken[canonical(s.Name)] = true
		if problem := badURL(s.URL); problem != "" {
			fault("url", "%s", problem)
		}
		switch {
		case s.Secret == "" && s.SecretFile == "":
			r.add(path, "needs secret or secret_file, by which the server knows that the events are the broker's")
		case s.Secret != "" && s.SecretFile != "":
			fault("secret_file", "is no use with secret; leave one of them out")
		}
		if s.On != nil && len(s.On) == 0 {
			fault("on", "is empty; leave it out for all events")
		}
		if s.Endpoints != nil && len(s.Endpoints) == 0 {
			fault("endpoints", "is empty; leave it out for all endpoints")
		}
		for j, name := range s.Endpoints {
			if !slices.Contains(known, name) {
				fault(join("endpoints", strconv.Itoa(j)), "there is no endpoint %q%s", name, suggest(name, known))
			}
		}
		s.Batch, s.Timeout = cmp.Or(s.Batch, 100), cmp.Or(s.Timeout, 5*time.Second)
		s.RetryFor, s.Queue = cmp.Or(s.RetryFor, 10*time.Minute), cmp.Or(s.Queue, 16<<20)
		if s.Batch < 1 || s.Batch > maxEventBatch {
			fault("batch", "must be from 1 to %d", maxEventBatch)
		}
		if s.Timeout < 0 {
			fault("timeout", "must not be negative")
		}
		if s.RetryFor < 0 {
			fault("retry_for", "must not be negative")
		}
		if s.Queue < minEventQueue {
			fault("queue", "must be at least 64KiB")
		}
	}
}
