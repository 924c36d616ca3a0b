package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// oldReload serves POST /reload, which does what /v1/reload does and is older: with ?dry_run=1 it only reports what would
// change. It answers 200 with the report, 422 with {"error": TEXT} if the configuration cannot be used, or a line of text.
//
// It refuses a request that asks for something else, rather than do a reload that nobody wanted.
func (o *operator) oldReload(w http.ResponseWriter, r *http.Request) {
	const what = "reload the configuration"
	who, no := o.api.guard.admit(r, Operate, what)
	if no != nil {
		no.head(w)
		answer(w, no.status, no.why)
		return
	}
	dry, err := dryRun(r)
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error()+"; nothing has changed")
		return
	}
	report, err := o.reread(r, dry)
	if refused, ok := errors.AsType[*apiError](err); ok {
		answer(w, refused.status, refused.Message)
		return
	}
	audit(o.api.log, r, who, Operate, what, err)
	if err != nil {
		o.api.write(w, http.StatusUnprocessableEntity, struct {
			Error string `json:"error"`
		}{err.Error()})
		return
	}
	o.api.write(w, http.StatusOK, report)
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
	return dry, nil
}
