package auth

import (
	"context"
	"maps"
	"net"
	"net/http"

	"github.com/polywire/polywire/core"
)

// OnError is the policy of an [Authorizer] while its server gives no answer.
type OnError uint8

// The policies.
const (
	// DenyOnError denies.
	DenyOnError OnError = iota
	// AllowOnError allows.
	AllowOnError
	// LastKnownOnError repeats the server's last answer to the same question, however old,
	// and denies what it was never asked.
	LastKnownOnError
)

// Authorizer asks an HTTP server about connections and commands with wsify's contract: the
// same bodies, and 200 allows. In addition, headers tell who asks: Polywire-Endpoint,
// Polywire-Protocol, Polywire-Identity (the subject, percent-encoded where it must be) and
// at a connect Polywire-Address. Unlike [Webhook] it remembers answers, leaves a failing
// server alone for a while, and has a policy for that time; a status of 500 and above is no
// answer. All methods may be called from any goroutine.
type Authorizer struct {
	// Static after construction.
	oracle  *oracle[core.Verdict]
	onError OnError
}

var _ core.Authorizer = (*Authorizer)(nil)

// NewAuthorizer returns an authorizer. Nothing is dialled yet.
func NewAuthorizer(o HookOptions, onError OnError) *Authorizer {
	return &Authorizer{oracle: newOracle(o, readVerdict), onError: onError}
}

func readVerdict(r *reply) (answer[core.Verdict], error) {
	if r.status == http.StatusOK {
		return answer[core.Verdict]{value: core.Allow, allows: true}, nil
	}
	return answer[core.Verdict]{value: core.Deny}, nil
}

// AuthorizeConnect shows the server the headers and the query of an upgrade request.
// Unavailable is the verdict of DenyOnError.
func (a *Authorizer) AuthorizeConnect(ctx context.Context, h core.Handshake) core.Verdict {
	q, body, header, err := a.oracle.connect(h)
	if err != nil {
		return core.Deny
	}
	return a.judge(ctx, q, body, header, core.Unavailable)
}

// AuthorizeCommand shows the server a client's message or, if there is none, the command in
// the form of one.
func (a *Authorizer) AuthorizeCommand(ctx context.Context, by *core.Identity, c core.Command) core.Verdict {
	body := commandBody(c)
	q := questionOf([]byte("command"), []byte(by.User()), body)
	return a.judge(ctx, q, body, a.oracle.header(by), core.Deny)
}

// judge returns the verdict; denied is the one with which the policy denies.
func (a *Authorizer) judge(ctx context.Context, q question, body []byte, header http.Header, denied core.Verdict) core.Verdict {
	verdict, err := a.oracle.ask(ctx, q, body, header)
	if err == nil {
		return verdict
	}
	switch a.onError {
	case AllowOnError:
		return core.Allow
	case LastKnownOnError:
		if verdict, ok := a.oracle.last(q); ok {
			return verdict
		}
	}
	return denied
}

// Close closes the connections that are not in use.
func (a *Authorizer) Close() { a.oracle.close() }

// passing are the headers that are new for each request of the same client. The server sees
// them, but its answer is assumed not to depend on them.
var passing = []string{"Sec-Websocket-Key", "Traceparent", "Tracestate", "X-Request-Id"}

// lasting returns h without the headers that pass.
func lasting(h core.Handshake) core.Handshake {
	h.Header = maps.Clone(h.Header)
	for _, name := range passing {
		delete(h.Header, name)
	}
	return h
}

// address returns the host of "host:port".
func address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
