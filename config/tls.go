package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/polywire/polywire/internal/certs"
)

// TLS is the TLS of an endpoint's listener; without certificates there is none.
type TLS struct {
	// Cert and Key are the files of the only certificate, a short form of
	// Certificates. In a checked configuration they are empty.
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
	// Certificates are selected by the name that a client asks for (SNI); the first is for clients
	// that ask for none of them.
	Certificates []Certificate `koanf:"certificates"`
	// MinVersion and MaxVersion limit the version; 0 is 1.2 and the newest.
	MinVersion TLSVersion `koanf:"min_version"`
	MaxVersion TLSVersion `koanf:"max_version"`
	// Curves are the key exchanges to choose from; nil is the Go library's choice.
	Curves []Curve `koanf:"curves"`
	// CipherSuites are those of TLS 1.2 to choose from; nil is the Go library's choice.
	CipherSuites []CipherSuite `koanf:"cipher_suites"`
	// ClientCA is a PEM file with the authorities of client certificates.
	ClientCA string `koanf:"client_ca"`
	// ClientAuth says whether clients need a certificate: none, request or require.
	// The default is require with ClientCA, none without.
	ClientAuth ClientAuth `koanf:"client_auth"`
}

// Certificate is a certificate in two PEM files.
type Certificate struct {
	// Cert holds the certificate, followed by the chain to its authority.
	Cert string `koanf:"cert"`
	// Key holds its private key.
	Key string `koanf:"key"`
}

// On reports whether there is TLS.
func (t *TLS) On() bool { return len(t.Certificates) > 0 }

// Settings returns t in the types of package certs.
func (t *TLS) Settings() certs.Settings {
	s := certs.Settings{
		ClientCA: t.ClientCA, ClientAuth: tls.ClientAuthType(t.ClientAuth),
		MinVersion: uint16(t.MinVersion), MaxVersion: uint16(t.MaxVersion),
	}
	for _, c := range t.Certificates {
		s.Pairs = append(s.Pairs, certs.Pair(c))
	}
	for _, c := range t.Curves {
		s.Curves = append(s.Curves, tls.CurveID(c))
	}
	for _, c := range t.CipherSuites {
		s.CipherSuites = append(s.CipherSuites, uint16(c))
	}
	return s
}

// TLSVersion is a version of TLS, written as 1.2 or 1.3.
type TLSVersion uint16

// UnmarshalText parses a version.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	switch string(text) {
	case "1.2":
		*v = tls.VersionTLS12
	case "1.3":
		*v = tls.VersionTLS13
	case "1.0", "1.1":
		return fmt.Errorf("%s is not safe any more; it must be 1.2 or 1.3", text)
	default:
		return fmt.Errorf("must be 1.2 or 1.3, not %q", text)
	}
	return nil
}

// Curve is a key exchange.
type Curve tls.CurveID

// curves are the key exchanges that there are.
var curves = map[string]tls.CurveID{
	"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384, "P-521": tls.CurveP521,
	"X25519MLKEM768": tls.X25519MLKEM768, "SecP256r1MLKEM768": tls.SecP256r1MLKEM768, "SecP384r1MLKEM1024": tls.SecP384r1MLKEM1024,
}

// UnmarshalText parses the name of a key exchange.
func (c *Curve) UnmarshalText(text []byte) error {
	id, ok := curves[string(text)]
	if !ok {
		return unknown("curve", string(text), sortedKeys(curves))
	}
	*c = Curve(id)
	return nil
}

// CipherSuite is a suite of TLS 1.2. Those of TLS 1.3 are all good and cannot be chosen.
type CipherSuite uint16

// UnmarshalText parses the name of a suite.
func (c *CipherSuite) UnmarshalText(text []byte) error {
	suites := make(map[string]uint16)
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			suites[s.Name] = s.ID
		} else if s.Name == string(text) {
			return fmt.Errorf("%s is of TLS 1.3, whose suites cannot be chosen", text)
		}
	}
	id, ok := suites[string(text)]
	if !ok {
		return unknown("cipher suite", string(text), sortedKeys(suites))
	}
	*c = CipherSuite(id)
	return nil
}

// unknown is the error for a word that is not among the candidates.
func unknown(what, word string, candidates []string) error {
	hint := suggest(word, candidates)
	if hint == "" {
		hint = "; there is " + strings.Join(candidates, ", ")
	}
	return fmt.Errorf("unknown %s %q%s", what, word, hint)
}

// ClientAuth says whether clients need a certificate.
type ClientAuth tls.ClientAuthType

// clientAuths are the ways to ask for certificates that there are.
var clientAuths = map[string]tls.ClientAuthType{
	"none": tls.NoClientCert, "request": tls.VerifyClientCertIfGiven, "require": tls.RequireAndVerifyClientCert,
}

// UnmarshalText parses none, request or require.
func (a *ClientAuth) UnmarshalText(text []byte) error {
	mode, ok := clientAuths[string(text)]
	if !ok {
		return fmt.Errorf("must be none, request or require, not %q%s", text, suggest(string(text), sortedKeys(clientAuths)))
	}
	*a = ClientAuth(mode)
	return nil
}

// tls sets the defaults of an endpoint's TLS, and checks it and its files.
func (e *endpointReader) tls(t *TLS) {
	fields, ok := e.fields["tls"].(map[string]any)
	if !ok {
		return
	}
	before := len(e.problems)
	e.tlsCertificates(t, fields)
	if t.MaxVersion != 0 && t.MaxVersion < t.MinVersion {
		e.fault("tls.max_version", "must not be older than min_version")
	}
	if t.MinVersion == tls.VersionTLS13 && len(t.CipherSuites) > 0 {
		e.fault("tls.cipher_suites", "are of TLS 1.2, which min_version rules out")
	}
	switch {
	case t.ClientCA == "" && tls.ClientAuthType(t.ClientAuth) != tls.NoClientCert:
		e.fault("tls.client_auth", "needs client_ca, the authorities of the certificates")
	case t.ClientCA != "" && fields["client_auth"] == nil:
		t.ClientAuth = ClientAuth(tls.RequireAndVerifyClientCert)
	case t.ClientCA != "" && tls.ClientAuthType(t.ClientAuth) == tls.NoClientCert:
		e.fault("tls.client_ca", "is no use with client_auth none")
	}
	if len(e.problems) > before {
		return
	}
	for _, err := range split(certs.Check(t.Settings())) {
		if f, ok := errors.AsType[*certs.Fault](err); ok {
			setting := f.Setting
			if fields["certificates"] == nil {
				setting = strings.TrimPrefix(setting, "certificates.0.")
			}
			e.fault(join("tls", setting), "%s", f.Err)
		}
	}
}

// tlsCertificates turns the short form into a list, and checks it.
func (e *endpointReader) tlsCertificates(t *TLS, fields map[string]any) {
	path := "tls"
	switch short := fields["cert"] != nil || fields["key"] != nil; {
	case short && fields["certificates"] != nil:
		e.fault("tls.certificates", "is no use with cert and key; leave one of them out")
		return
	case short:
		t.Certificates = []Certificate{{t.Cert, t.Key}}
		t.Cert, t.Key = "", ""
	case len(t.Certificates) == 0:
		e.fault("tls", "needs cert and key, or a list of certificates")
	}
	first := make(map[string]int)
	for i, c := range t.Certificates {
		if fields["certificates"] != nil {
			path = "tls.certificates." + strconv.Itoa(i)
		}
		if c.Cert == "" {
			e.fault(join(path, "cert"), "is missing")
		}
		if c.Key == "" {
			e.fault(join(path, "key"), "is missing")
		}
		if other, ok := first[c.Cert]; ok {
			e.fault(join(path, "cert"), "is that of certificates[%d] already", other)
		}
		first[c.Cert] = i
	}
}
