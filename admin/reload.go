package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// reloader has the broker read its configuration again: POST /reload, or with ?dry_run=1
// only says what would become of what. It answers 200 with the report, or 422 with
// {"error": TEXT} if the configuration cannot be used; then nothing has changed.
//
// mayReload says who may ask.
type reloader struct {
	reload func(dryRun bool) (any, error) // nil if there is nothing to read
	token  string
	log    *slog.Logger
}

func (h reloader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, why := mayReload(r, h.token); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		answer(w, status, why)
		return
	}
	if h.reload == nil {
		answer(w, http.StatusNotImplemented, "the broker does not know where its configuration comes from")
		return
	}
	dry := r.URL.Query().Get("dry_run")
	report, err := h.reload(dry != "" && dry != "0")
	status := http.StatusOK
	if err != nil {
		status, report = http.StatusUnprocessableEntity, struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	body, err := json.Marshal(report)
	if err != nil {
		h.log.Error("writing the report of a reload", "error", err)
		answer(w, http.StatusInternalServerError, "the report cannot be written")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// Who asked is gone if this fails; there is nobody to tell.
	_, _ = w.Write(append(body, '\n'))
}
