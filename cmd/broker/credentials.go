package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/polywire/polywire/config"
)

// tokenVariable is the environment variable of the token for the admin server.
const tokenVariable = "POLYWIRE_ADMIN_TOKEN"

// credentials are the flags with which a command shows the admin server who asks, and knows the server.
type credentials struct {
	url, token, tokenFile, ca, cert, key string
}

// add adds the flags.
func (c *credentials) add(flags *pflag.FlagSet) {
	flags.StringVar(&c.url, "url", "", "ask the admin server at this address, such as https://broker.internal:9443, and read no configuration")
	flags.StringVar(&c.token, "token", "", "the token for the admin server; others on this machine can see it, unlike the variable "+tokenVariable+" and --token-file")
	flags.StringVar(&c.tokenFile, "token-file", "", "a file with the token for the admin server")
	flags.StringVar(&c.ca, "ca", "", "a PEM file with the authorities that vouch for the admin server; default: those of the system, and the certificate that the configuration names")
	flags.StringVar(&c.cert, "cert", "", "a PEM file with the certificate to show to the admin server, with --key")
	flags.StringVar(&c.key, "key", "", "a PEM file with the key of --cert")
}

// bearer returns the token to show; "" is none.
func (c *credentials) bearer(cfg *config.Config) (string, error) {
	switch {
	case c.token != "":
		return c.token, nil
	case c.tokenFile != "":
		text, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return "", fmt.Errorf("reading --token-file: %w", err)
		}
		token := string(bytes.TrimSpace(text))
		if token == "" || strings.ContainsAny(token, " \r\n\t") {
			return "", fmt.Errorf("reading --token-file: %s must have one token, and nothing else", c.tokenFile)
		}
		return token, nil
	}
	return cmp.Or(os.Getenv(tokenVariable), cfg.Admin.ReloadToken), nil
}

// tls returns how to speak TLS with the admin server of a configuration. The server may have any of the names that the
// configuration gives it, or the very certificate that it names: at the address that is dialled it may have no name.
func (c *credentials) tls(cfg *config.Config, host string) (*tls.Config, error) {
	own, err := (&target{ca: c.ca, cert: c.cert, key: c.key}).tls()
	if err != nil {
		return nil, err
	}
	var known [][]byte
	for _, one := range cfg.Admin.TLS.Certificates {
		// The files may be for the broker alone to read.
		if pair, err := tls.LoadX509KeyPair(one.Cert, one.Key); err == nil {
			known = append(known, pair.Certificate[0])
		}
	}
	names := append([]string{host}, cfg.Admin.Hosts...)
	roots := own.RootCAs
	// VerifyConnection does what is left out here.
	own.InsecureSkipVerify = true
	own.VerifyConnection = func(state tls.ConnectionState) error { return verifyServer(state, roots, names, known) }
	return own, nil
}

// verifyServer checks the certificate of a server.
func verifyServer(state tls.ConnectionState, roots *x509.CertPool, names []string, known [][]byte) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	leaf := state.PeerCertificates[0]
	for _, one := range known {
		if bytes.Equal(leaf.Raw, one) {
			return nil
		}
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, one := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(one)
	}
	var first error
	for _, name := range names {
		if name == "*" {
			continue
		}
		o.DNSName = name
		_, err := leaf.Verify(o)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("the certificate of the admin server is not trusted: %w; --ca names who vouches for it", first)
}
