// Package httpclient is how the broker asks HTTP servers: the settings that services,
// webhooks and key sets share.
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
	// DefaultIdle is how long an unused connection is kept unless it is said: less than
	// the 5 s of servers on Node.js, which close what is idle for longer, just when the
	// next request may be on its way.
	DefaultIdle = 4 * time.Second
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 64 << 10
	// tripAfter is after how many failures in a row a server is left alone, and
	// tripTime for how long; then one request tries whether it answers again.
	tripAfter, tripTime = 5, 5 * time.Second
)

// New returns a client whose dialling and TLS handshake take no longer than timeout
// each; requests have time-outs of their own. It opens up to conns connections to a server;
// further requests wait for one, inside their time-out. A connection that is not used for
// idle is closed; 0 is DefaultIdle. Proxies of the environment are not used,
// bodies are not decompressed. Redirects are followed as net/http does, up to ten.
//
// A request with GetBody, or without a body, that was marked with MayRepeat is sent once more
// if it met a connection which the server has just closed.
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

// NewBreaker returns a breaker that leaves a server alone for five seconds after five
// failures in a row, and tells changed of its state. answered reports whether an error is
// the server's answer all the same: that one is as good as any, for it may be about what a
// single client asked. Requests that nobody waits for any more say nothing about the server.
func NewBreaker[T any](answered func(error) bool, changed func(from, to gobreaker.State)) *gobreaker.CircuitBreaker[T] {
	return gobreaker.NewCircuitBreaker[T](gobreaker.Settings{
		Timeout:       tripTime,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful:  func(err error) bool { return err == nil || answered(err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) { changed(from, to) },
	})
}

// WithoutURL takes off what net/http puts before its errors: the URL may hold a
// secret, and the log is no place for it.
func WithoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// HeaderText returns s as it may stand in a header: percent-encoded if it holds what
// has no place there, such as the line ends of a name that a client chose. Different
// texts stay different.
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
