package auth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/polywire/polywire/core"
)

// Webhook asks an HTTP server about connections and commands, exactly with the contract
// of wsify (docs/formats/wsify.md, "The authorizer"): it asks about each, and
// remembers nothing. All methods may be called from any goroutine.
type Webhook struct{ hook *hook }

var _ core.Authorizer = (*Webhook)(nil)

// NewWebhook returns a webhook that POSTs to url, an absolute http or https
// address, and waits for each answer no longer than timeout, which must be
// positive: redirects, and waiting for a free connection, included. log is told when
// the server stops answering and when it answers again, not about single requests.
// Proxies of the environment are not used. Nothing is dialled yet.
func NewWebhook(url string, timeout time.Duration, log *slog.Logger) *Webhook {
	return &Webhook{newHook(url, timeout, 0, log)}
}

// AuthorizeConnect shows the server the headers and the query of an upgrade request. It
// returns Allow for an answer of 200, and Deny for any other and for no answer.
func (w *Webhook) AuthorizeConnect(ctx context.Context, h core.Handshake) core.Verdict {
	body, err := connectBody(h)
	if err != nil {
		return core.Deny
	}
	if r, err := w.hook.ask(ctx, body, nil); err != nil || r.status != http.StatusOK {
		return core.Deny
	}
	return core.Allow
}

// AuthorizeCommand shows the server a client's message or, if there is none, the command in
// the form of one (see [core.Command], Source). It returns Allow for an answer of 200,
// Unavailable for 500 and above and for no answer, and Deny for any other.
func (w *Webhook) AuthorizeCommand(ctx context.Context, _ *core.Identity, c core.Command) core.Verdict {
	r, err := w.hook.ask(ctx, commandBody(c), nil)
	switch {
	case err != nil || r.status >= http.StatusInternalServerError:
		return core.Unavailable
	case r.status == http.StatusOK:
		return core.Allow
	}
	return core.Deny
}

// Close closes the connections that are not in use. Requests in flight go on.
func (w *Webhook) Close() { w.hook.client.CloseIdleConnections() }
