package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Peer names the PEM files by which this process and another one know each other. The zero value is
// what crypto/tls does by itself.
type Peer struct {
	// CA has the authorities of the other's certificate; empty is those of the system.
	CA string
	// Pair is shown to the other one. Empty files are no certificate.
	Pair
}

// Config reads the files, and returns a configuration for connections to servers, and for a listener
// that lets in only who has a certificate of CA. The pair is read again for each handshake, so that
// one that was renewed counts; CA is not. The error joins a [*Fault] of ca, cert or key for each file
// that cannot be used.
func (p Peer) Config() (*tls.Config, error) {
	c := &tls.Config{}
	var faults []error
	if p.CA != "" {
		pool, err := p.authorities()
		if err != nil {
			faults = append(faults, &Fault{Setting: "ca", Err: err})
		}
		c.RootCAs, c.ClientCAs, c.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	}
	switch {
	case p.Pair == Pair{}:
	case p.Cert == "":
		faults = append(faults, &Fault{Setting: "cert", Err: errTogether})
	case p.Key == "":
		faults = append(faults, &Fault{Setting: "key", Err: errTogether})
	default:
		if _, err := p.certificate(); err != nil {
			faults = append(faults, err)
		}
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.certificate() }
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.certificate() }
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return c, nil
}

var errTogether = errors.New("is missing; cert and key belong together")

func (p Peer) authorities() (*x509.CertPool, error) {
	data, err := readFile(p.CA)
	if err != nil {
		return nil, err
	}
	return parseAuthorities(data)
}

func (p Peer) certificate() (*tls.Certificate, error) {
	cert, key, err := p.read()
	if err != nil {
		return nil, err
	}
	pair, err := parsePair(cert, key)
	if err != nil {
		return nil, err
	}
	return &pair.cert, nil
}
