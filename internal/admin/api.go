package admin

import (
	_ "embed" // openapi.yaml
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// description is the OpenAPI document of /v1.
//
//go:embed openapi.yaml
var description []byte

// operationTimeout bounds the time from a request of /v1 to its answer, as the server's WriteTimeout does.
const operationTimeout = 30 * time.Second

// apiError is what a request of /v1 is refused with: an HTTP status, a code for programs, and for people what
// is wrong and what to do.
type apiError struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return e.Message }

func invalid(format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, "invalid", fmt.Sprintf(format, args...)}
}

// document is an answer that is written in its own way.
type document interface {
	write(w http.ResponseWriter)
}

// operation is one request of /v1. It returns a document, or what is answered as JSON.
type operation func(r *http.Request, q url.Values) (any, error)

// api serves the operations of /v1 to those who may operate the broker.
type api struct {
	guard *guard
	log   *slog.Logger
}

// repeated is behind the name of a parameter that may be given more than once.
const repeated = "..."

// handle serves an operation that a pattern of [http.ServeMux] names. params are the parameters of the query that
// it knows, with repeated or without; need are the roles of which who asks must have one, and what is what it does, for
// the log and the refusal of those who may not: "web pages may not …". If need does not include Read the operation
// changes something.
func (a api) handle(mux *http.ServeMux, pattern string, need Role, what string, params []string, op operation) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, no := a.guard.admit(r, need, what)
		if no != nil {
			a.turnAway(w, no)
			return
		}
		// A body may be bigger than those that the server's own bound is for.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(operationTimeout))
		result, err := a.run(r, params, op)
		if need&Read == 0 {
			audit(a.log, r, who, need, what, err)
		}
		if err != nil {
			e, ok := errors.AsType[*apiError](err)
			if !ok {
				e = &apiError{http.StatusServiceUnavailable, "unavailable", err.Error()}
			}
			a.refuse(w, e)
			return
		}
		if d, ok := result.(document); ok {
			w.Header().Set("Cache-Control", "no-store")
			d.write(w)
			return
		}
		a.write(w, http.StatusOK, result)
	})
}

// failed is the answer to a request that is refused.
type failed struct {
	Error *apiError `json:"error"`
}

func (a api) refuse(w http.ResponseWriter, e *apiError) { a.write(w, e.status, failed{e}) }

// turnAway answers a request whose sender may not do what it asks for.
func (a api) turnAway(w http.ResponseWriter, no *refusal) {
	code := "forbidden"
	switch no.reason {
	case refusedUnavailable:
		code = "unavailable"
	case refusedRate:
		code = "overloaded"
	}
	no.head(w)
	a.refuse(w, &apiError{no.status, code, no.why})
}

func (a api) run(r *http.Request, params []string, op operation) (any, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query cannot be read")
	}
	for name, values := range q {
		once, often := slices.Contains(params, name), slices.Contains(params, name+repeated)
		switch {
		case len(params) == 0:
			return nil, invalid("%.50q is no parameter of %s, which has none", name, r.URL.Path)
		case !once && !often:
			return nil, invalid("%.50q is no parameter of %s; there are: %s", name, r.URL.Path, strings.ReplaceAll(strings.Join(params, ", "), repeated, ""))
		case len(values) > 1 && !often:
			return nil, invalid("%s is given more than once", name)
		}
	}
	return op(r, q)
}

func (a api) write(w http.ResponseWriter, status int, body any) { answerJSON(w, a.log, status, body) }

// serve serves the description of /v1.
func (a api) serve(mux *http.ServeMux) {
	a.handle(mux, "GET /v1/openapi.yaml", Read|Publish, "look at the broker", nil, func(*http.Request, url.Values) (any, error) {
		return described{}, nil
	})
}

// described is the description as an answer.
type described struct{}

func (described) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/yaml")
	// If this fails the client has gone, and there is nobody to tell.
	_, _ = w.Write(description)
}
