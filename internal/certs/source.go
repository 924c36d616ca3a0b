package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// interval is the time between two looks at the files.
const interval = 2 * time.Second

// Source is the TLS of one listener. Its methods may be called from any goroutine.
type Source struct {
	// Static after construction.
	log    *slog.Logger
	config *tls.Config

	// Guarded by mu.
	mu       sync.Mutex
	settings Settings
	loaded   loaded
	looks    map[string]look // the last look at each pair and the authorities, by setting

	// Atomic.
	current atomic.Pointer[tls.Config]
}

// New loads the files of s. The error joins a [*Fault] for each that cannot be used.
// log names the listener.
func New(s Settings, log *slog.Logger) (*Source, error) {
	src := &Source{log: log}
	src.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return src.current.Load(), nil
		},
	}
	return src, src.Replace(s)
}

// Config returns the configuration for the listener. It stays valid when the files or
// the settings change, and session tickets do too.
func (s *Source) Config() *tls.Config { return s.config }

// Replace sets the settings for the handshakes to come. If a file cannot be used, the old
// settings stay; the error is as with [New].
func (s *Source) Replace(settings Settings) error {
	use, err := s.Prepare(settings)
	if err != nil {
		return err
	}
	use()
	return nil
}

// Prepare does the part of Replace that can fail; use does the rest.
func (s *Source) Prepare(settings Settings) (use func(), err error) {
	l, err := load(settings)
	if err != nil {
		return nil, fmt.Errorf("loading certificates: %w", err)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settings, s.loaded, s.looks = settings, l, make(map[string]look)
		for _, p := range l.pairs {
			s.warnExpired(p.cert.Leaf)
		}
		s.swap()
	}, nil
}

// swap makes what is loaded the current configuration. The caller holds mu.
func (s *Source) swap() {
	config := &tls.Config{
		MinVersion: max(s.settings.MinVersion, tls.VersionTLS12), MaxVersion: s.settings.MaxVersion,
		CurvePreferences: s.settings.Curves, CipherSuites: s.settings.CipherSuites,
		ClientAuth: s.settings.ClientAuth, ClientCAs: s.loaded.authorities,
		NextProtos: []string{"http/1.1"},
		// Small records would only help clients that can use half a message.
		DynamicRecordSizingDisabled: true,
	}
	for _, p := range s.loaded.pairs {
		config.Certificates = append(config.Certificates, p.cert)
	}
	if pool := s.loaded.authorities; pool != nil {
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyResumed(state, pool) }
	}
	s.current.Store(config)
}

// verifyResumed verifies the client certificate of a session that is resumed: it was
// verified when the session began, but perhaps by authorities of that time.
func verifyResumed(state tls.ConnectionState, authorities *x509.CertPool) error {
	if !state.DidResume || len(state.PeerCertificates) == 0 {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// Certificate is a certificate in use.
type Certificate struct {
	// File is its path.
	File string
	// Expires is when it expires.
	Expires time.Time
}

// Certificates returns the certificates in use, in the order of the settings.
func (s *Source) Certificates() []Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	certificates := make([]Certificate, len(s.loaded.pairs))
	for i, p := range s.loaded.pairs {
		certificates[i] = Certificate{File: s.settings.Pairs[i].Cert, Expires: p.cert.Leaf.NotAfter}
	}
	return certificates
}

func (s *Source) warnExpired(cert *x509.Certificate) {
	if time.Now().After(cert.NotAfter) {
		s.log.Warn("certificate has expired; clients will refuse it", "names", names(cert), "expired", cert.NotAfter)
	}
}

// names returns what a certificate is for, to log it.
func names(cert *x509.Certificate) string {
	list := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return cert.Subject.String()
	}
	return strings.Join(list, ",")
}
