package httpclient

import (
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// marker is the header by which net/http knows that a request may be sent again.
const marker = "Idempotency-Key"

// MayRepeat marks a request as one that may be sent again if its connection breaks. The
// server sees key, and can tell by it that it had the request before; "" is not sent.
func MayRepeat(r *http.Request, key string) {
	if key == "" {
		r.Header[marker] = nil
		return
	}
	r.Header.Set(marker, key)
}

// attempts bounds how often a request is sent. Each but the last was on a connection that
// had been used before.
const attempts = 3

// again retries a request that may be repeated, if the server had just closed its
// connection. net/http does so too, but not if it had begun to write a body that does not
// fit into the socket.
type again struct{ *http.Transport }

func (a again) RoundTrip(r *http.Request) (*http.Response, error) {
	_, may := r.Header[marker]
	if !may || r.GetBody == nil {
		return a.Transport.RoundTrip(r)
	}
	for n := 1; ; n++ {
		var reused, answered atomic.Bool
		traced := r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			GotConn:              func(i httptrace.GotConnInfo) { reused.Store(i.Reused) },
			GotFirstResponseByte: func() { answered.Store(true) },
		}))
		res, err := a.Transport.RoundTrip(traced)
		if err == nil || n == attempts || !reused.Load() || answered.Load() || r.Context().Err() != nil {
			return res, err
		}
		// The others are likely to be closed as well.
		a.CloseIdleConnections()
		body, failed := r.GetBody()
		if failed != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = body
	}
}
