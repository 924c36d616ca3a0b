// Package httpclient has the settings with which the broker asks HTTP servers. Services,
// webhooks and key sets share them.
package httpclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// DefaultIdle is how long an unused connection is kept by default: less than the 5 s of
	// servers on Node.js, which close what is idle for longer, maybe just when the next
	// request is on its way.
	DefaultIdle = 4 * time.Second
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 64 << 10
	// After tripAfter failures in a row a server is left alone for tripTime; then one
	// request tries whether it answers again.
	tripAfter, tripTime = 5, 5 * time.Second
)

// New returns a client whose dialling and TLS handshake take no longer than timeout each;
// requests have their own timeouts. It opens up to conns connections to a server; further
// requests wait for one, within their timeout. A connection that is unused for idle is
// closed; 0 is DefaultIdle. Proxies of the environment are not used, bodies are not
// decompressed. Redirects are followed as net/http does, up to ten.
//
// A request that was marked with MayRepeat, and has GetBody or no body, is sent once more
// if the server had just closed its connection.
func New(timeout, idle time.Duration, conns int) *http.Client {
	if idle <= 0 {
		idle = DefaultIdle
	}
	return &http.Client{Transport: again{&http.Transport{
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxConnsPerHost:        conns,
		MaxIdleConns:           conns,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxHead,
	}}}
}

// NewDirect is New without redirects: an answer that redirects is the answer.
func NewDirect(timeout, idle time.Duration, conns int) *http.Client {
	c := New(timeout, idle, conns)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// NewBreaker returns a circuit breaker that leaves a server alone for five seconds after
// five failures in a row, and reports changes of its state to changed. answered reports
// whether an error is still an answer of the server. Such an error counts as a success,
// because it may be about what a single client asked. Requests that nobody waits for any
// more say nothing about the server.
func NewBreaker[T any](answered func(error) bool, changed func(from, to gobreaker.State)) *gobreaker.CircuitBreaker[T] {
	return gobreaker.NewCircuitBreaker[T](gobreaker.Settings{
		Timeout:       tripTime,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful:  func(err error) bool { return err == nil || answered(err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) { changed(from, to) },
	})
}

// WithoutURL removes the URL that net/http puts before its errors: it may hold a secret,
// which must not be logged.
func WithoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// HeaderText returns s as it may stand in a header: percent-encoded if it holds characters
// that are not allowed there, such as the line ends of a name that a client chose.
// Different texts stay different.
func HeaderText(s string) string {
	if strings.TrimSpace(s) != s {
		return url.PathEscape(s)
	}
	for _, ch := range []byte(s) {
		if ch < ' ' || ch >= 0x7f || ch == '%' {
			return url.PathEscape(s)
		}
	}
	return s
}
