package admin

import (
	"errors"
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
	mux.HandleFunc("POST /reload", o.oldReload)
	o.api.handle(mux, "GET /v1/log", Read, "look at the log level", nil, o.level)
	o.api.handle(mux, "PUT /v1/log", Operate, "change the log level", []string{"level"}, o.setLevel)
	o.api.handle(mux, "POST /v1/drain", Operate, "end the broker", nil, o.drain)
}

// plan returns what a reload would change.
func (o *operator) plan(r *http.Request, _ url.Values) (any, error) {
	plan, err := o.reread(r, true)
	return plan, unusable(err)
}

// reload puts the configuration in force that the broker reads now.
func (o *operator) reload(r *http.Request, _ url.Values) (any, error) {
	plan, err := o.reread(r, false)
	return plan, unusable(err)
}

// reread makes the broker read its configuration again. The error is an *apiError if that was not tried, else it says
// what is wrong with the configuration; then nothing has changed.
func (o *operator) reread(r *http.Request, dryRun bool) (any, error) {
	if o.src.Reload == nil {
		return nil, &apiError{http.StatusNotImplemented, "unavailable", "the broker does not know where its configuration comes from"}
	}
	// A client that sends a body expects it to mean something.
	if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
		return nil, invalid("a reload takes no body, because the broker reads its own file; nothing has changed")
	}
	plan, err := o.src.Reload(dryRun)
	if err == nil && !dryRun {
		o.api.log.Info("an operator reloads the configuration", "by", r.RemoteAddr)
	}
	return plan, err
}

// unusable returns why reread has failed.
func unusable(err error) error {
	if _, refused := errors.AsType[*apiError](err); err == nil || refused {
		return err
	}
	return &apiError{http.StatusUnprocessableEntity, "invalid", fmt.Sprintf("nothing has changed: %v", err)}
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
