package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/polywire/polywire/core"
)

// WebhookMethod asks an HTTP server who a client is. The server sees what [Authorizer]
// shows at a connect, and answers
//
//   - 200 with {"subject":TEXT,"claims":{…},"expires":SECONDS}: this is who it is. All
//     members may be left out; expires is Unix time.
//   - 204: the client shows no credential that the server knows; the next method is asked.
//   - a status from 400 to 499: the client is refused.
//
// Everything else is no answer. All methods may be called from any goroutine.
type WebhookMethod struct {
	// Static after construction.
	oracle    *oracle[Finding]
	lastKnown bool
}

var _ Method = (*WebhookMethod)(nil)

// NewWebhookMethod returns a method. If lastKnown is set, the server's last answer about the
// same client counts while it does not answer, however old. Nothing is dialled yet.
func NewWebhookMethod(o HookOptions, lastKnown bool) *WebhookMethod {
	return &WebhookMethod{oracle: newOracle(o, readFinding), lastKnown: lastKnown}
}

// Identify asks the server.
func (m *WebhookMethod) Identify(ctx context.Context, h core.Handshake) Finding {
	q, body, header, err := m.oracle.connect(h)
	if err != nil {
		return Finding{Outcome: Bad, Err: err}
	}
	f, err := m.oracle.ask(ctx, q, body, header)
	if err == nil {
		return f
	}
	if m.lastKnown {
		if f, ok := m.oracle.last(q); ok {
			return f
		}
	}
	return Finding{Outcome: Unknown, Err: err}
}

// Close closes the connections that are not in use.
func (m *WebhookMethod) Close() { m.oracle.close() }

var errRefused = errors.New("the webhook refuses the client")

func readFinding(r *reply) (answer[Finding], error) {
	switch {
	case r.status == http.StatusNoContent:
		return answer[Finding]{}, nil
	case r.status >= 400:
		return answer[Finding]{value: Finding{Outcome: Bad, Err: errRefused}}, nil
	case r.status != http.StatusOK:
		return answer[Finding]{}, fmt.Errorf("reading who the client is: status %d", r.status)
	}
	var who struct {
		Subject string         `json:"subject"`
		Claims  map[string]any `json:"claims"`
		Expires json.Number    `json:"expires"`
	}
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.UseNumber()
	if err := decoder.Decode(&who); err != nil {
		return answer[Finding]{}, fmt.Errorf("reading who the client is: %w", err)
	}
	identity := &core.Identity{Subject: who.Subject, Method: "webhook", Claims: who.Claims}
	if who.Expires != "" {
		seconds, err := who.Expires.Int64()
		if err != nil {
			return answer[Finding]{}, fmt.Errorf("reading who the client is: expires: %w", err)
		}
		identity.Expires = time.Unix(seconds, 0)
	}
	return answer[Finding]{value: Finding{Outcome: Good, Identity: identity}, allows: true, ends: identity.Expires}, nil
}
