package polywire

import (
	"crypto/tls"
	"net"

	"github.com/polywire/polywire/admin"
	"github.com/polywire/polywire/certs"
	"github.com/polywire/polywire/config"
)

// keys are the keys and certificates of one listener.
type keys struct {
	listen    string
	endpoints []string // who shares the listener
	source    *certs.Source
}

// addTLS returns the TLS of an endpoint's listener; nil if it has none.
func (b *Broker) addTLS(ep *config.Endpoint) (*tls.Config, error) {
	if !ep.TLS.On() {
		return nil, nil
	}
	// Port 0 is a new listener every time.
	if _, port, err := net.SplitHostPort(ep.Listen); err == nil && port != "0" {
		for _, k := range b.keys {
			if k.listen == ep.Listen {
				k.endpoints = append(k.endpoints, ep.Name)
				return k.source.Config(), nil
			}
		}
	}
	source, err := certs.New(ep.TLS.Settings(), b.log.With("endpoint", ep.Name))
	if err != nil {
		return nil, err
	}
	b.keys = append(b.keys, &keys{listen: ep.Listen, endpoints: []string{ep.Name}, source: source})
	return source.Config(), nil
}

// certificates lists the certificates of all endpoints, for the metrics.
func (b *Broker) certificates() []admin.Certificate {
	var list []admin.Certificate
	for _, k := range b.keys {
		for _, c := range k.source.Certificates() {
			for _, name := range k.endpoints {
				list = append(list, admin.Certificate{Endpoint: name, File: c.File, Expires: c.Expires})
			}
		}
	}
	return list
}
