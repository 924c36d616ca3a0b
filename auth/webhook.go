package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxConns bounds the connections to the authorizer. Requests beyond it wait
	// for one, inside their timeout; there is one for each client connection at most.
	maxConns = 256
	// idleConnTime is how long an unused connection is kept.
	idleConnTime = 90 * time.Second
	// maxAnswerHead and maxAnswerBody bound what is read of an answer, in bytes.
	// A connection whose answer has a longer body is not used again.
	maxAnswerHead = 64 << 10
	maxAnswerBody = 64 << 10
)

// Webhook asks an HTTP server about connections and commands, with the contract
// of wsify (protocols.md, section 2, "Authorizer webhook"), whatever the
// format of the endpoint is. All methods may be called from any goroutine.
type Webhook struct {
	// Logger is told when the server stops answering and when it answers again,
	// not about single requests. Nil: nobody is told. Set before first use.
	Logger *slog.Logger

	// Static after construction.
	url     string
	timeout time.Duration
	client  *http.Client

	// Atomic.
	down atomic.Bool
}

var _ core.Authorizer = (*Webhook)(nil)

// NewWebhook returns a webhook that POSTs to url, an absolute http or https
// address, and waits for each answer no longer than timeout, which must be
// positive: redirects, and waiting for a free connection, included. Proxies of
// the environment are not used. Nothing is dialled yet.
func NewWebhook(url string, timeout time.Duration) *Webhook {
	return &Webhook{
		url:     url,
		timeout: timeout,
		client: &http.Client{Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSHandshakeTimeout:    timeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxConnsPerHost:        maxConns,
			MaxIdleConns:           maxConns,
			MaxIdleConnsPerHost:    maxConns,
			IdleConnTimeout:        idleConnTime,
			MaxResponseHeaderBytes: maxAnswerHead,
		}},
	}
}

// AuthorizeConnect shows the server the headers and the query of an upgrade
// request. It returns Allow for an answer of 200 and Deny for every other, and
// for none.
func (w *Webhook) AuthorizeConnect(ctx context.Context, h core.Handshake) core.Verdict {
	body, err := connectBody(h)
	if err != nil {
		return core.Deny
	}
	if status, err := w.ask(ctx, body); err != nil || status != http.StatusOK {
		return core.Deny
	}
	return core.Allow
}

// AuthorizeCommand shows the server a client's message, or where there is none
// the command in the form of one (see [core.Command], Source). It returns Allow
// for an answer of 200, Unavailable for 500 and above and for no answer, and
// Deny for every other.
func (w *Webhook) AuthorizeCommand(ctx context.Context, _ *core.Identity, c core.Command) core.Verdict {
	status, err := w.ask(ctx, commandBody(c))
	switch {
	case err != nil || status >= http.StatusInternalServerError:
		return core.Unavailable
	case status == http.StatusOK:
		return core.Allow
	}
	return core.Deny
}

// Close closes the connections that are not in use. Requests under way go on.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// ask POSTs body and returns the status of the answer. net/http may read body
// until after the answer, so it must not be borrowed.
func (w *Webhook) ask(ctx context.Context, body []byte) (status int, err error) {
	asking, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	status, err = w.post(asking, body)
	switch {
	case ctx.Err() != nil:
		// The broker stopped waiting; that says nothing about the server.
	case err != nil:
		w.note(true, err)
	case status >= http.StatusInternalServerError:
		w.note(true, fmt.Errorf("status %d", status))
	default:
		w.note(false, nil)
	}
	return status, err
}

func (w *Webhook) post(ctx context.Context, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("making authorizer request: %w", withoutURL(err))
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("asking authorizer: %w", withoutURL(err))
	}
	// Only a connection whose answer was read to its end is used again. The
	// answer is its status, so a body that breaks off does not matter.
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswerBody)
	_ = res.Body.Close()
	return res.StatusCode, nil
}

// withoutURL takes off what net/http puts before its errors: the URL may hold a
// secret, and the log is no place for it.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// note remembers whether the server answers and logs when that changes.
func (w *Webhook) note(down bool, err error) {
	// Loading first keeps the usual case free of writes to shared memory.
	if w.down.Load() == down || !w.down.CompareAndSwap(!down, down) || w.Logger == nil {
		return
	}
	if down {
		w.Logger.Warn("authorizer is down", "error", err)
		return
	}
	w.Logger.Warn("authorizer is up again")
}
