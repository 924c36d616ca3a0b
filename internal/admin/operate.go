package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
)

// operator serves what changes how the broker runs: /v1/reload, /v1/log and /v1/drain.
type operator struct {
	src Source
	api api
}

func newOperator(src Source, a api) *operator { return &operator{src, a} }

func (o *operator) serve(mux *http.ServeMux) {
	o.api.handle(mux, "GET /v1/reload", Read, "look at what a reload would change", nil, o.plan)
	o.api.handle(mux, "POST /v1/reload", Operate, "reload the configuration", nil, o.reload)
	o.api.handle(mux, "GET /v1/log", Read, "look at the log level", nil, o.level)
	o.api.handle(mux, "PUT /v1/log", Operate, "change the log level", []string{"level"}, o.setLevel)
	o.api.handle(mux, "POST /v1/drain", Operate, "end the broker", nil, o.drain)
}

// plan returns what a reload would change.
func (o *operator) plan(*http.Request, url.Values) (any, error) { return o.reread(true) }

// reload puts the configuration in force that the broker reads now.
func (o *operator) reload(r *http.Request, _ url.Values) (any, error) {
	plan, err := o.reread(false)
	if err == nil {
		o.api.log.Info("an operator reloads the configuration", "by", r.RemoteAddr)
	}
	return plan, err
}

func (o *operator) reread(dryRun bool) (any, error) {
	if o.src.Reload == nil {
		return nil, &apiError{http.StatusNotImplemented, "unavailable", "the broker does not know where its configuration comes from"}
	}
	plan, err := o.src.Reload(dryRun)
	if err != nil {
		return nil, &apiError{http.StatusUnprocessableEntity, "invalid", fmt.Sprintf("nothing has changed: %v", err)}
	}
	return plan, nil
}

// Log is the answer to /v1/log.
type Log struct {
	// Level is the lowest level that is logged: debug, info, warn or error.
	Level string `json:"level"`
}

// levels are the names of log levels.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func (o *operator) level(*http.Request, url.Values) (any, error) {
	if o.src.LogLevel == nil {
		return nil, &apiError{http.StatusNotImplemented, "unavailable", "the program that has the broker sets the level of its log itself"}
	}
	is := o.src.LogLevel.Level()
	for name, level := range levels {
		if level == is {
			return Log{name}, nil
		}
	}
	return Log{is.String()}, nil
}

// setLevel changes the level until the next reload, which sets that of the configuration.
func (o *operator) setLevel(r *http.Request, q url.Values) (any, error) {
	level, known := levels[q.Get("level")]
	if !known {
		return nil, invalid("level must be debug, info, warn or error, not %.50q", q.Get("level"))
	}
	if o.src.LogLevel == nil {
		return o.level(r, q)
	}
	// The line is seen unless both levels are above it.
	by := []any{"level", q.Get("level"), "by", r.RemoteAddr}
	if level <= slog.LevelInfo {
		o.src.LogLevel.Set(level)
		o.api.log.Info("an operator changes the log level", by...)
	} else {
		o.api.log.Info("an operator changes the log level", by...)
		o.src.LogLevel.Set(level)
	}
	return o.level(r, q)
}

// Drained is the answer to POST /v1/drain.
type Drained struct {
	// Connections is how many hear the goodbye.
	Connections int `json:"connections"`
}

// drain makes the broker end as a signal does.
func (o *operator) drain(r *http.Request, _ url.Values) (any, error) {
	n := 0
	for _, ep := range o.src.Endpoints() {
		n += int(ep.Stats.Open.Load())
	}
	o.api.log.Info("an operator ends the broker", "connections", n, "by", r.RemoteAddr)
	o.src.Drain()
	return Drained{n}, nil
}
