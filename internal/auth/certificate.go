package auth

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/polywire/polywire/core"
)

// Certificate is the method of TLS client certificates. It accepts those whose chain the TLS
// handshake verified; which authorities count is decided there. The identity expires with
// the certificate.
//
// The claims are cn, dn and serial (texts), and dns, email and uri (lists: the subject
// alternative names), if the certificate has them.
type Certificate struct {
	// Subject is the claim that names the user; of a list, its first entry.
	Subject string
}

var _ Method = Certificate{}

var (
	errUnverified = errors.New("the client certificate was not verified")
	errNoName     = errors.New("the client certificate does not have the name that is wanted")
)

// Identify looks at the connection's client certificate.
func (c Certificate) Identify(_ context.Context, h core.Handshake) Finding {
	switch {
	case h.TLS == nil || len(h.TLS.PeerCertificates) == 0:
		return Finding{}
	case len(h.TLS.VerifiedChains) == 0:
		return Finding{Outcome: Bad, Err: errUnverified}
	}
	leaf := h.TLS.PeerCertificates[0]
	claims := certificateClaims(leaf)
	subject := ""
	switch v := claims[c.Subject].(type) {
	case string:
		subject = v
	case []any:
		subject, _ = v[0].(string)
	}
	if subject == "" {
		return Finding{Outcome: Bad, Err: errNoName}
	}
	return Finding{Outcome: Good, Identity: &core.Identity{
		Subject: subject, Method: "certificate", Claims: claims, Expires: leaf.NotAfter,
	}}
}

func certificateClaims(leaf *x509.Certificate) map[string]any {
	claims := map[string]any{}
	one := func(name, text string) {
		if text != "" {
			claims[name] = text
		}
	}
	list := func(name string, texts []string) {
		var values []any
		for _, text := range texts {
			values = append(values, text)
		}
		if len(values) > 0 {
			claims[name] = values
		}
	}
	one("cn", leaf.Subject.CommonName)
	one("dn", leaf.Subject.String())
	if leaf.SerialNumber != nil {
		one("serial", leaf.SerialNumber.Text(16))
	}
	list("dns", leaf.DNSNames)
	list("email", leaf.EmailAddresses)
	var uris []string
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	list("uri", uris)
	return claims
}
