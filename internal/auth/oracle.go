package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/httpclient"
)

// HookOptions are the options of all webhooks that remember their answers.
type HookOptions struct {
	// URL is absolute, http or https.
	URL string
	// Timeout bounds one request. Positive.
	Timeout time.Duration
	// Endpoint and Protocol are sent to the server.
	Endpoint, Protocol string
	// Idle is how long an unused connection is kept; 0 is httpclient.DefaultIdle.
	Idle time.Duration
	// Cache says how long answers may be used again.
	Cache CacheOptions
	// Stats counts; not nil.
	Stats *core.HookStats
	// Logger is told when the server stops answering and when it answers again.
	Logger *slog.Logger
}

// oracle asks a webhook. It does not ask for an answer that it knows, nor twice at a time,
// nor while the server is left alone because it fails. Any goroutine.
type oracle[T any] struct {
	// Static after construction.
	options HookOptions
	hook    *hook
	breaker *gobreaker.CircuitBreaker[*reply]
	memory  *memory[T]
	read    func(*reply) (answer[T], error)

	flights singleflight.Group
}

// answer is what a reply says.
type answer[T any] struct {
	value  T
	allows bool
	ends   time.Time // when it expires; zero is never
}

func newOracle[T any](o HookOptions, read func(*reply) (answer[T], error)) *oracle[T] {
	o.Stats.InUse.Store(true)
	return &oracle[T]{
		options: o, read: read,
		hook:   newHook(o.URL, o.Timeout, o.Idle, o.Logger),
		memory: newMemory[T](o.Cache),
		breaker: httpclient.NewBreaker[*reply](func(error) bool { return false }, func(_, to gobreaker.State) {
			o.Stats.Breaker.Store(to != gobreaker.StateClosed)
		}),
	}
}

// close closes the connections that are not in use.
func (o *oracle[T]) close() { o.hook.client.CloseIdleConnections() }

// ask returns the answer to q, which body and header put in words. The error means that
// there is none now. When ctx ends, ask stops waiting, but the answer is still remembered.
func (o *oracle[T]) ask(ctx context.Context, q question, body []byte, header http.Header) (T, error) {
	if value, ok := o.memory.fresh(q); ok {
		o.options.Stats.Hits.Add(1)
		return value, nil
	}
	mine := false
	flight := o.flights.DoChan(string(q[:]), func() (any, error) {
		mine = true
		return o.put(context.WithoutCancel(ctx), q, body, header)
	})
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case r := <-flight:
		if !mine {
			o.options.Stats.Hits.Add(1)
		}
		value, _ := r.Val.(T)
		return value, r.Err
	}
}

// put asks the server and remembers what it says.
func (o *oracle[T]) put(ctx context.Context, q question, body []byte, header http.Header) (value T, err error) {
	o.options.Stats.Misses.Add(1)
	r, err := o.breaker.Execute(func() (*reply, error) {
		began := time.Now()
		r, err := o.hook.ask(ctx, body, header)
		if err == nil && r.status >= http.StatusInternalServerError {
			err = errServer
		}
		o.options.Stats.Times.Observe(time.Since(began), err == nil)
		return r, err
	})
	if err == nil {
		var a answer[T]
		if a, err = o.read(r); err == nil {
			o.memory.put(q, a.value, a.allows, r.header, a.ends)
			return a.value, nil
		}
	}
	o.options.Stats.Errors.Add(1)
	return value, err
}

var errServer = errors.New("the webhook answered with a server error")

// last returns the last answer to q, however old.
func (o *oracle[T]) last(q question) (T, bool) { return o.memory.last(q) }

// connect returns what the server is shown of an upgrade, and which question that is.
func (o *oracle[T]) connect(h core.Handshake) (q question, body []byte, header http.Header, err error) {
	if body, err = connectBody(h); err != nil {
		return q, nil, nil, err
	}
	header = o.header(h.Identity)
	host := address(h.Remote)
	header.Set("Polywire-Address", host)
	asked, err := connectBody(lasting(h))
	return questionOf([]byte("connect"), []byte(h.Identity.User()), []byte(host), asked), body, header, err
}

// header returns what is sent beside the body, which is the client's own words.
func (o *oracle[T]) header(by *core.Identity) http.Header {
	h := http.Header{}
	h.Set("Polywire-Endpoint", o.options.Endpoint)
	h.Set("Polywire-Protocol", o.options.Protocol)
	if user := by.User(); user != "" {
		h.Set("Polywire-Identity", httpclient.HeaderText(user))
	}
	return h
}
