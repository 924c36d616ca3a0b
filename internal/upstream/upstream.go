package upstream

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/httpclient"
)

// maxText bounds the text of a failure, in bytes.
const maxText = 4 << 10

// Options are the options of an Upstream.
type Options struct {
	// URL is absolute, http or https.
	URL string
	// Timeout bounds one call, waiting for a connection and a second attempt included.
	Timeout time.Duration
	// MaxAnswer bounds the body of an answer, in bytes.
	MaxAnswer int64
	// Idle is how long an unused connection is kept; 0 is httpclient.DefaultIdle.
	Idle time.Duration
	// MaxConns bounds the connections to the server; further calls wait for one, within
	// their timeout. 0 is no bound.
	MaxConns int
	// Logger is told when the server is left alone and when it answers again, and why
	// a call failed that the server did not fail itself.
	Logger *slog.Logger
	// Stats count the calls; nil counts nowhere.
	Stats *core.ServiceStats
}

// Upstream asks one HTTP server. Its methods may be called from any goroutine.
type Upstream struct {
	// Static after construction.
	options Options
	client  *http.Client
	breaker *gobreaker.CircuitBreaker[*answer]
}

// New returns an upstream. Nothing is dialled yet. Proxies of the environment are
// not used and redirects are not followed.
func New(o Options) *Upstream {
	if o.Stats == nil {
		o.Stats = new(core.ServiceStats)
	}
	u := &Upstream{options: o, client: httpclient.NewDirect(o.Timeout, o.Idle, o.MaxConns)}
	u.breaker = httpclient.NewBreaker[*answer](answered, func(from, to gobreaker.State) {
		o.Stats.Breaker.Store(to == gobreaker.StateOpen)
		o.Logger.Warn("upstream changed its state", logging.Bounded("", "", slog.String("to", to.String())), slog.String("from", from.String()))
	})
	return u
}

// Close closes the connections that are not in use.
func (u *Upstream) Close() { u.client.CloseIdleConnections() }

// The failures that a client may see.
var (
	errInternal    = core.Failure{Code: core.Internal, Text: "the service failed"}
	errUnreachable = core.Failure{Code: core.Internal, Text: "the service cannot be reached"}
	errUnavailable = core.Failure{Code: core.Overloaded, Text: "the service is unavailable; try again later"}
	errTimeout     = core.Failure{Code: core.Timeout, Text: "the service did not answer in time"}
)

// Call answers one call. It is a core.Handler. A failure that the server did not choose
// itself is logged here, with its trace, and returned as a core.Failure that wraps its cause.
func (u *Upstream) Call(ctx context.Context, c core.Invocation) (core.Payload, error) {
	asking, cancel := context.WithTimeout(ctx, u.options.Timeout)
	defer cancel()
	if !c.Recorded {
		c.Trace = c.Trace.Child()
	}
	u.options.Stats.Calls.Add(1)
	key := rand.Text()
	a, err := u.breaker.Execute(func() (*answer, error) {
		began := time.Now()
		a, err := u.ask(asking, c, key)
		u.options.Stats.Times.Observe(time.Since(began), err == nil)
		if err != nil && ctx.Err() != nil {
			// The caller no longer waits, or never gave the server time to answer.
			err = fmt.Errorf("%w: %w", context.Canceled, err)
		}
		return a, err
	})
	if err != nil {
		r, failed := reasonOf(err)
		if failed {
			u.options.Stats.Failed.Inc(r)
		}
		if r == core.ReasonOverload {
			return core.Payload{}, errUnavailable
		}
		return core.Payload{}, u.failed(c, fmt.Errorf("asking upstream: %w", httpclient.WithoutURL(err)))
	}
	payload, err := a.settle(c)
	if err != nil {
		return core.Payload{}, u.failed(c, err)
	}
	return payload, nil
}

// failed returns the error for the caller: a failure of the server as it is, nothing for a
// caller that left, and for all else no details, which are logged instead.
func (u *Upstream) failed(c core.Invocation, err error) error {
	told := errInternal
	switch r, failed := reasonOf(err); {
	case !failed:
		return err
	case r == core.ReasonTimeout:
		told = errTimeout
	case r == core.ReasonUnavailable:
		told = errUnreachable
	}
	u.options.Logger.Warn("upstream failed", logging.Bounded(c.Endpoint, string(told.Code)), logging.Quoted("called", c.Service),
		slog.Uint64("conn", c.Connection), slog.String("trace", c.Trace.TraceID()), slog.Any("error", err))
	return fmt.Errorf("%w: %w", told, err)
}

// reasonOf returns which of core.ServiceFailures explains the missing answer; false if that
// is nobody's fault here.
func reasonOf(err error) (r core.Reason, failed bool) {
	_, told := errors.AsType[core.Failure](err)
	_, socket := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return core.ReasonTimeout, true
	case told, errors.Is(err, context.Canceled):
		return 0, false
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return core.ReasonOverload, true
	case socket:
		return core.ReasonUnavailable, true
	}
	return core.ReasonInternal, true
}

// ask sends the request, twice if the first attempt did not reach the server, or met a
// connection that it had just closed: key tells the server that it is the same request.
func (u *Upstream) ask(ctx context.Context, c core.Invocation, key string) (*answer, error) {
	res, err := u.post(ctx, c, key)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && ctx.Err() == nil {
		res, err = u.post(ctx, c, key)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	return readAnswer(res, u.options.MaxAnswer)
}

func (u *Upstream) post(ctx context.Context, c core.Invocation, key string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.options.URL, bytes.NewReader(c.Payload.Data))
	if err != nil {
		return nil, err
	}
	httpclient.MayRepeat(r, `"`+key+`"`)
	h := r.Header
	switch c.Payload.Kind {
	case core.JSON:
		h.Set("Content-Type", "application/json")
	case core.Text:
		h.Set("Content-Type", "text/plain; charset=utf-8")
	case core.Binary:
		h.Set("Content-Type", "application/octet-stream")
	}
	h.Set("Polywire-Service", httpclient.HeaderText(c.Service))
	h.Set("Polywire-Endpoint", c.Endpoint)
	h.Set("Polywire-Protocol", c.Protocol)
	h.Set("Polywire-Connection", strconv.FormatUint(c.Connection, 10))
	if user := c.Identity.User(); user != "" {
		h.Set("Polywire-Identity", httpclient.HeaderText(user))
	}
	if c.Session != "" {
		h.Set("Polywire-Session", httpclient.HeaderText(c.Session))
	}
	h.Set("traceparent", c.Trace.Parent())
	if c.Trace.State != "" {
		h.Set("tracestate", c.Trace.State)
	}
	return u.client.Do(r)
}

// errStatus is an answer without a word for the client.
type errStatus int

func (e errStatus) Error() string { return fmt.Sprintf("upstream answered with status %d", int(e)) }

var errTooLarge = errors.New("the answer is over the limit")

// answered reports whether an error of ask is about an answer that the server gave, even a
// useless one: it may be about the question of one client, and the server answers others. A
// status of 500 and above is not an answer.
func answered(err error) bool {
	if status, ok := errors.AsType[errStatus](err); ok {
		return status < http.StatusInternalServerError
	}
	return errors.Is(err, errTooLarge) || errors.Is(err, errNotJSON)
}

// answer is what the server said.
type answer struct {
	payload core.Payload
	failure core.Failure
	open    string // Polywire-Session-Open
	close   bool   // Polywire-Session-Close
}

// settle makes the changes to the session that the answer asks for, and returns the rest.
func (a *answer) settle(c core.Invocation) (core.Payload, error) {
	if a.failure.Failed() {
		return core.Payload{}, a.failure
	}
	if a.open != "" {
		if _, err := c.Caller.OpenSession([]byte(a.open)); err != nil {
			return core.Payload{}, fmt.Errorf("opening session: %w", err)
		}
	}
	if a.close {
		if err := c.Caller.CloseSession(); err != nil {
			return core.Payload{}, fmt.Errorf("closing session: %w", err)
		}
	}
	return a.payload, nil
}

// readAnswer reads a response. An error means that the client can be told nothing of it.
func readAnswer(res *http.Response, limit int64) (*answer, error) {
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		body, err := readAll(res.Body, limit)
		if err != nil {
			return nil, err
		}
		a := &answer{open: res.Header.Get("Polywire-Session-Open"), close: res.Header.Get("Polywire-Session-Close") == "1"}
		if res.StatusCode != http.StatusNoContent {
			a.payload, err = payloadOf(res.Header.Get("Content-Type"), body)
		}
		return a, err
	}
	if code := res.Header.Get("Polywire-Error-Code"); code != "" {
		// A text that is cut is better than a failure without its code.
		text, err := io.ReadAll(io.LimitReader(res.Body, maxText))
		if err != nil {
			return nil, err
		}
		return &answer{failure: core.Failure{Code: core.Code(code), Text: string(bytes.ToValidUTF8(text, []byte("?")))}}, nil
	}
	return nil, errStatus(res.StatusCode)
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errTooLarge
	}
	return body, err
}
