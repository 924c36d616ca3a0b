package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Settings say how a listener speaks TLS. The zero value of each field but Pairs is
// the choice of crypto/tls.
type Settings struct {
	// Pairs are the certificates, at least one. A client gets the first that has the
	// name it asks for (SNI) and that it understands, or else the first of all.
	Pairs []Pair
	// ClientCA is a PEM file with the authorities of client certificates.
	ClientCA string
	// ClientAuth says whether clients need a certificate.
	ClientAuth tls.ClientAuthType
	// MinVersion and MaxVersion bound the version.
	MinVersion, MaxVersion uint16
	// Curves are the key exchanges to choose from.
	Curves []tls.CurveID
	// CipherSuites are the suites of TLS 1.2 to choose from.
	CipherSuites []uint16
}

// Pair names two PEM files: a certificate, followed by those that lead to its authority, and
// its private key.
type Pair struct{ Cert, Key string }

// Fault is a file that cannot be used.
type Fault struct {
	// Setting names the setting: certificates.0.cert, certificates.0.key, client_ca.
	Setting string
	// Err says what is wrong.
	Err error
}

// Error names the setting.
func (f *Fault) Error() string { return f.Setting + ": " + f.Err.Error() }

// Unwrap returns what is wrong.
func (f *Fault) Unwrap() error { return f.Err }

// Check returns a [*Fault] for each file that cannot be used, joined; nil if all can.
func Check(s Settings) error {
	_, err := load(s)
	return err
}

// digest tells contents of files apart.
type digest [sha256.Size]byte

// loaded is all that the files of some settings hold.
type loaded struct {
	pairs       []loadedPair
	authorities *x509.CertPool // nil without client certificates
	caDigest    digest
}

type loadedPair struct {
	cert   tls.Certificate
	digest digest
}

// load reads all files.
func load(s Settings) (loaded, error) {
	var l loaded
	var faults []error
	for i, p := range s.Pairs {
		cert, key, err := p.read()
		var pair loadedPair
		if err == nil {
			pair, err = parsePair(cert, key)
		}
		if f, ok := errors.AsType[*Fault](err); ok {
			err = &Fault{Setting: fmt.Sprintf("certificates.%d.%s", i, f.Setting), Err: f.Err}
		}
		faults = append(faults, err)
		l.pairs = append(l.pairs, pair)
	}
	if s.ClientCA != "" {
		data, err := readFile(s.ClientCA)
		if err == nil {
			l.authorities, err = parseAuthorities(data)
			l.caDigest = sha256.Sum256(data)
		}
		if err != nil {
			faults = append(faults, &Fault{Setting: "client_ca", Err: err})
		}
	}
	return l, errors.Join(faults...)
}

// maxFile bounds a file, in bytes.
const maxFile = 1 << 20

// readFile reads a regular file of a sensible size: any other could be endless.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes; the bound is %d", path, info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	// Windows editors put a byte order mark before the first line, where PEM must begin.
	return bytes.TrimPrefix(data, []byte("\ufeff")), err
}

// read returns the contents of both files. The error is a [*Fault] of cert or key.
func (p Pair) read() (cert, key []byte, err error) {
	if cert, err = readFile(p.Cert); err != nil {
		return nil, nil, &Fault{Setting: "cert", Err: err}
	}
	if key, err = readFile(p.Key); err != nil {
		return nil, nil, &Fault{Setting: "key", Err: err}
	}
	return cert, key, nil
}

// digestPair tells pairs apart.
func digestPair(cert, key []byte) digest {
	c, k := sha256.Sum256(cert), sha256.Sum256(key)
	return sha256.Sum256(append(c[:], k[:]...))
}

// parsePair parses a pair. The error is a [*Fault] of cert or key.
func parsePair(cert, key []byte) (loadedPair, error) {
	// A certificate that cannot be parsed is reported first, whatever the key is.
	chain, err := parseChain(cert)
	if err != nil {
		return loadedPair{}, &Fault{Setting: "cert", Err: err}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return loadedPair{}, &Fault{Setting: "key", Err: err}
	}
	pair.Leaf = chain[0]
	return loadedPair{cert: pair, digest: digestPair(cert, key)}, nil
}

// parseAuthorities parses the certificates of authorities.
func parseAuthorities(data []byte) (*x509.CertPool, error) {
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range chain {
		pool.AddCert(cert)
	}
	return pool, nil
}
