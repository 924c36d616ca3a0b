package admin

import (
	"net/http"
	"net/url"
	"sync"
)

// losses serves /v1/matrix: what the formats of the endpoints carry to one another, and what is lost.
type losses struct {
	// Static after construction.
	matrix func() any
	api    api

	mu sync.Mutex // held while the formats are asked: one after the other
}

func newLosses(src Source, a api) *losses { return &losses{matrix: src.Matrix, api: a} }

func (l *losses) serve(mux *http.ServeMux) {
	l.api.handle(mux, "GET /v1/matrix", Read, "look at what formats carry", nil, l.answer)
}

func (l *losses) answer(*http.Request, url.Values) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.matrix(), nil
}
