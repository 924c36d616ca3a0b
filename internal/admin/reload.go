package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
)

// reloader serves POST /reload: it makes the broker read its configuration again, or with
// ?dry_run=1 only report what would change. It answers 200 with the report, or 422 with {"error":
// TEXT} if the configuration cannot be used; then nothing has changed.
//
// It refuses a request that asks for something else, rather than do a reload that nobody wanted.
// It is for those who may operate.
type reloader struct {
	reload func(dryRun bool) (any, error) // nil if there is no source to read
	guard  *guard
	log    *slog.Logger
}

func (h reloader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const what = "reload the configuration"
	who, no := h.guard.admit(r, Operate, what)
	if no != nil {
		no.head(w)
		answer(w, no.status, no.why)
		return
	}
	if h.reload == nil {
		answer(w, http.StatusNotImplemented, "the broker does not know where its configuration comes from")
		return
	}
	dry, err := dryRun(r)
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error()+"; nothing has changed")
		return
	}
	report, err := h.reload(dry)
	audit(h.log, r, who, Operate, what, err)
	status := http.StatusOK
	if err != nil {
		status, report = http.StatusUnprocessableEntity, struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	answerJSON(w, h.log, status, report)
}

// dryRun parses the query of a request.
func dryRun(r *http.Request) (dry bool, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false, errors.New("the query cannot be read")
	}
	for name, values := range query {
		if name != "dry_run" {
			return false, fmt.Errorf("%.50q is no parameter of /reload; there is dry_run=1", name)
		}
		if len(values) > 1 {
			return false, errors.New("dry_run is given more than once")
		}
		if dry, err = strconv.ParseBool(values[0]); err != nil {
			return false, fmt.Errorf("dry_run must be 1 or 0, not %.50q", values[0])
		}
	}
	// A client that sends a body expects it to mean something.
	if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
		return false, errors.New("/reload takes no body: the broker reads its own file, and dry_run=1 is for the query")
	}
	return dry, nil
}
