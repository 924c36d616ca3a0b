package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxBody bounds what is published or asked, in bytes.
	maxBody = 16 << 20
	// maxTopics bounds the topics of one request.
	maxTopics = 100
	// maxCallsAtOnce bounds the calls that wait for their answers.
	maxCallsAtOnce = 256
	// defaultCallTime and maxCallTime are how long a call may take; the server's own bound is longer.
	defaultCallTime, maxCallTime = 10 * time.Second, 25 * time.Second
)

// messages serves /v1/publish and /v1/call.
type messages struct {
	src   Source
	api   api
	calls chan struct{} // holds an element for each call that waits
}

func newMessages(src Source, a api) *messages {
	return &messages{src: src, api: a, calls: make(chan struct{}, maxCallsAtOnce)}
}

func (m *messages) serve(mux *http.ServeMux) {
	m.api.handle(mux, "POST /v1/publish", Publish, "publish", []string{"endpoint", "topic..."}, m.publish)
	m.api.handle(mux, "POST /v1/call/{service...}", Publish, "call services", []string{"endpoint", "timeout"}, m.call)
}

// Published is the answer to POST /v1/publish.
type Published struct {
	// Topics is on how many topics the message was published.
	Topics int `json:"topics"`
}

// publish publishes the body on some topics.
func (m *messages) publish(r *http.Request, q url.Values) (any, error) {
	endpoint, err := m.endpoint(q)
	if err != nil {
		return nil, err
	}
	topics := q["topic"]
	if len(topics) == 0 || len(topics) > maxTopics {
		return nil, invalid("give 1 to %d topics: ?topic=news/today&topic=…", maxTopics)
	}
	p, err := payload(r)
	if err != nil {
		return nil, err
	}
	for i, topic := range topics {
		if err := m.src.Publish(endpoint, topic, p); err != nil {
			f := failureOf(err)
			f.Message = fmt.Sprintf("%s; published on %d topics before", f.Message, i)
			return nil, f
		}
	}
	return Published{len(topics)}, nil
}

// call asks a service with the body, and answers with its answer.
func (m *messages) call(r *http.Request, q url.Values) (any, error) {
	endpoint, err := m.endpoint(q)
	if err != nil {
		return nil, err
	}
	timeout := defaultCallTime
	if text := q.Get("timeout"); text != "" {
		if timeout, err = time.ParseDuration(text); err != nil || timeout <= 0 || timeout > maxCallTime {
			return nil, invalid("timeout must be a duration of up to %v, such as 5s, not %.50q", maxCallTime, text)
		}
	}
	p, err := payload(r)
	if err != nil {
		return nil, err
	}
	select {
	case m.calls <- struct{}{}:
	default:
		return nil, &apiError{http.StatusServiceUnavailable, string(core.Overloaded), fmt.Sprintf("%d calls wait for their answers already", maxCallsAtOnce)}
	}
	defer func() { <-m.calls }()
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	answer, err := m.src.Call(ctx, endpoint, r.PathValue("service"), p)
	if err != nil {
		return nil, failureOf(err)
	}
	return message{answer}, nil
}

// endpoint returns the endpoint in whose name something is done.
func (m *messages) endpoint(q url.Values) (string, error) {
	names := m.src.endpoints()
	name := q.Get("endpoint")
	switch {
	case name == "" && len(names) == 1:
		return names[0], nil
	case name == "":
		return "", invalid("say for which endpoint: ?endpoint=NAME, one of %s", strings.Join(names, ", "))
	case !slices.Contains(names, name):
		return "", &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no endpoint %.100q", name)}
	}
	return name, nil
}

// payload reads the body of a request. Its kind is what Content-Type says, if that says something, and else JSON,
// text or binary, the first that it can be.
func payload(r *http.Request) (core.Payload, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return core.Payload{}, invalid("reading the body: %v", err)
	case len(data) > maxBody:
		return core.Payload{}, &apiError{http.StatusRequestEntityTooLarge, string(core.Invalid), fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	case len(data) == 0:
		return core.Payload{}, nil
	}
	p := core.Sniff(data)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		p.Kind = core.JSON
	case strings.HasPrefix(kind, "text/"):
		p.Kind = core.Text
	case kind == "application/octet-stream":
		p.Kind = core.Binary
	}
	if err := p.Check(); err != nil {
		return core.Payload{}, invalid("the body is not what its Content-Type says: %v", err)
	}
	return p, nil
}

// message is the answer to a call.
type message struct{ core.Payload }

func (d message) write(w http.ResponseWriter) {
	// What clients answer is not for a browser to look into.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch d.Kind {
	case core.JSON:
		w.Header().Set("Content-Type", "application/json")
	case core.Text:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	case core.Binary:
		w.Header().Set("Content-Type", "application/octet-stream")
	default:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// If this fails the client has gone, and there is nobody to tell.
	_, _ = w.Write(d.Data)
}

// statuses are those of failures; the others are 502.
var statuses = map[core.Code]int{
	core.NoService: http.StatusNotFound, core.Timeout: http.StatusGatewayTimeout, core.Denied: http.StatusForbidden,
	core.NotOwner: http.StatusForbidden, core.Invalid: http.StatusBadRequest, core.Overloaded: http.StatusServiceUnavailable,
	core.Shutdown: http.StatusServiceUnavailable, core.Unreachable: http.StatusServiceUnavailable, core.Internal: http.StatusInternalServerError,
}

// failureOf returns why something was not published or answered. Its code is that of a failure.
func failureOf(err error) *apiError {
	f, ok := errors.AsType[core.Failure](err)
	if !ok {
		return invalid("%v", err)
	}
	status := statuses[f.Code]
	if status == 0 {
		status = http.StatusBadGateway
	}
	return &apiError{status, string(f.Code), err.Error()}
}
