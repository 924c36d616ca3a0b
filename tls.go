package polywire

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/polywire/polywire/admin"
	"github.com/polywire/polywire/certs"
	"github.com/polywire/polywire/config"
)

// keys are the keys and certificates of one listener.
type keys struct {
	// Static after construction.
	endpoints []string // who shares the listener
	source    *certs.Source
	unwatch   context.CancelFunc
}

// tls returns the TLS of an endpoint's listener; nil if it has none. The files of a
// listener that has TLS already are read again.
func (d *draft) tls(ep *config.Endpoint) (*tls.Config, error) {
	if !ep.TLS.On() {
		return nil, nil
	}
	listener := listenerOf(ep)
	if k := d.keys[listener]; k != nil {
		k.endpoints = append(k.endpoints, ep.Name)
		return k.source.Config(), nil
	}
	k := &keys{endpoints: []string{ep.Name}}
	if old := d.old.keys[listener]; old != nil {
		use, err := old.source.Prepare(ep.TLS.Settings())
		if err != nil {
			return nil, err
		}
		d.onCommit(use)
		k.source, k.unwatch = old.source, old.unwatch
	} else {
		source, err := certs.New(ep.TLS.Settings(), d.b.log.With("endpoint", ep.Name))
		if err != nil {
			return nil, err
		}
		k.source, k.unwatch = source, d.watch(source)
	}
	d.keys[listener] = k
	return k.source.Config(), nil
}

// watch has the files of a source watched while the broker runs, until unwatch is called.
func (d *draft) watch(source *certs.Source) (unwatch context.CancelFunc) {
	ctx, cancel := context.WithCancel(d.b.ctx)
	d.onDiscard(cancel)
	d.onStart(func() { d.b.background.Go(func() { source.Watch(ctx) }) })
	return cancel
}

// unwatchOthers ends the watching of the files of listeners that are not those of the
// draft.
func (d *draft) unwatchOthers() {
	for listener, k := range d.old.keys {
		if d.keys[listener] == nil {
			k.unwatch()
		}
	}
}

// listenerOf names the listener of an endpoint: port 0 is a new one every time.
func listenerOf(ep *config.Endpoint) string {
	if _, port, err := net.SplitHostPort(ep.Listen); err == nil && port == "0" {
		return ep.Listen + " " + ep.Name
	}
	return ep.Listen
}

// certificates lists the certificates of all endpoints, for the metrics.
func (b *Broker) certificates() []admin.Certificate {
	var list []admin.Certificate
	for _, k := range b.state.Load().keys {
		for _, c := range k.source.Certificates() {
			for _, name := range k.endpoints {
				list = append(list, admin.Certificate{Endpoint: name, File: c.File, Expires: c.Expires})
			}
		}
	}
	return list
}
