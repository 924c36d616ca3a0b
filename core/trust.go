package core

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
)

// Handshake is the client's upgrade request.
type Handshake struct {
	// Path is the path of the request target; Query its query.
	Path  string
	Query url.Values
	// Header has canonical names and is without Host.
	Header http.Header
	// Remote is the address of the client, "ip:port".
	Remote string
	// TLS is the state after the TLS handshake, with the client's certificates, which
	// are verified if there are any; nil without TLS.
	TLS *tls.ConnectionState
	// Identity is who the client is; nil before authentication, or without it.
	Identity *Identity
	// Info is where the hook BeforeUpgrade may store a value for the hooks and handlers of
	// the connection ([Client.Info]). It is for that hook only.
	Info *any
}

// Verdict is the decision of an authorizer or authenticator.
type Verdict uint8

// The verdicts.
const (
	// Deny: the client may not do this.
	Deny Verdict = iota
	// Allow: the client may do this.
	Allow
	// Unavailable: the authorizer could not be asked; the connection is ended.
	Unavailable
)

// Authorizer decides what a client may do. Its methods may block, are never
// called on an event loop, and may be called from many goroutines at once. When
// ctx ends, nobody waits for the answer any more.
type Authorizer interface {
	// AuthorizeConnect is asked before the upgrade.
	AuthorizeConnect(ctx context.Context, h Handshake) Verdict
	// AuthorizeCommand is asked before a command of a client is carried out. It must not
	// retain any part of c.
	AuthorizeCommand(ctx context.Context, by *Identity, c Command) Verdict
}
