package polywire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/internal/admin"
	"github.com/polywire/polywire/internal/matrix"
)

// adminSocket and apiSocket are the names of the listeners of the server for operators, and of that for backends.
const adminSocket, apiSocket = "$admin", "$api"

// adminSource is what the admin server may read.
func (b *Broker) adminSource() admin.Source {
	stats := b.parts.Network.Stats()
	src := admin.Source{
		Version:  Version(),
		Rejected: &stats.Rejected, AcceptErrors: &stats.AcceptErrors,
		Panics: func() uint64 { return stats.Panics.Load() + b.parts.Engine.Panics() },
		Calls:  b.parts.Engine.Calls, Topics: b.parts.Engine.Topics,
		Counts: b.counts, Loops: b.loops, Handshakes: &stats.Handshakes,
		Outbound: b.parts.Network.Outbound, OutboundBudget: b.parts.Network.OutboundBudget(),
		Inbound: b.parts.Network.Inbound, InboundBudget: b.parts.Network.InboundBudget,
		Memory:       b.parts.Network.Memory,
		LogDropped:   func() uint64 { return b.lines.Dropped() + b.parts.Engine.LogLeftOut() },
		Matrix:       func() any { return matrix.OfConfigured(b.Config().Endpoints) },
		Connections:  b.parts.Network,
		Closed:       b.parts.Engine.Closed,
		Routing:      b.parts.Engine,
		Writing:      b.parts.Network,
		Tables:       b.parts.Engine,
		CloseSession: b.CloseSession, SessionStores: b.sessionStores,
		Addresses:    b.addresses,
		Nodes:        b.parts.Nodes(),
		Publish:      b.Publish,
		Call:         b.Call,
		Certificates: b.parts.Certificates,
		Services:     b.parts.Services,
		Ready:        b.parts.Network.Ready,
		Cluster:      b.parts.Cluster(),
		Traces:       b.parts.Traces(),
		Bridges:      b.parts.Bridges,
		Events:       b.parts.Events,
		Health:       b.adminHealth(),
		Endpoints:    b.parts.Counted,
		Reloads:      &b.reloads,
		Access:       func() *admin.Access { return b.parts.Access("admin") },
		Refusals:     &b.refusals,
		TLS:          b.parts.ServerTLS("admin"),
		Hosts:        adminHosts(b.cfg.Admin),
		Tap:          b.tap,
		LogLevel:     b.level,
		Drain:        b.endByOperator,
		Taps:         b.taps,
		Redact:       admin.Redact(b.cfg.Admin.Redact),
	}
	if b.source != nil {
		src.Reload = func(dryRun bool) (any, error) { return b.Reread(dryRun) }
	}
	return src
}

// apiSource is what the server for backends may read.
func (b *Broker) apiSource() admin.Source {
	return admin.Source{
		Publish: b.Publish, Call: b.Call, Endpoints: b.parts.Counted, Bridges: b.parts.Bridges,
		Access:   func() *admin.Access { return b.parts.Access("api") },
		Refusals: &b.refusals,
		TLS:      b.parts.ServerTLS("api"),
		Hosts:    adminHosts(b.cfg.API),
	}
}

// endByOperator makes Run end.
func (b *Broker) endByOperator() {
	if b.end != nil {
		b.end()
		return
	}
	b.life.stop()
}

// addresses returns where the endpoints are reached.
func (b *Broker) addresses() (all []admin.EndpointAddress) {
	cfg := b.parts.Config()
	for i, ep := range describe(cfg, b.listens) {
		all = append(all, admin.EndpointAddress{Name: ep.Name, Listen: b.listens(&cfg.Endpoints[i]), URL: ep.URL})
	}
	return all
}

// counts is how much of each there is.
func (b *Broker) counts() admin.Counts { return admin.Counts(b.parts.Engine.Counts()) }

// loops is what the event loops have to do.
func (b *Broker) loops() []admin.Loop {
	var list []admin.Loop
	for _, l := range b.parts.Network.Loops() {
		list = append(list, admin.Loop(l))
	}
	return list
}

// adminHosts are the host names under which the admin server answers.
func adminHosts(a config.Admin) []string {
	if host, _, err := net.SplitHostPort(a.Listen); err == nil && host != "" && net.ParseIP(host) == nil {
		return append(slices.Clone(a.Hosts), host)
	}
	return a.Hosts
}

// server is one of the servers for operators and backends.
type server struct {
	what, socket, listen string
	*admin.Server
}

// makeServers makes those servers that the configuration has.
func (b *Broker) makeServers() {
	b.operators = admin.New(b.adminSource(), b.log)
	b.parts.AnswerNodes(b.operators.Answer)
	if listen := b.cfg.Admin.Listen; listen != "" {
		b.servers = append(b.servers, server{"admin server", adminSocket, listen, b.operators})
	}
	if listen := b.cfg.API.Listen; listen != "" {
		b.servers = append(b.servers, server{"server for backends", apiSocket, listen, admin.NewForBackends(b.apiSource(), b.log)})
	}
}

// startServers starts the servers. After an error none runs.
func (b *Broker) startServers() error {
	for i, s := range b.servers {
		ln, err := b.listen(s.socket, s.listen)
		if err != nil {
			err = fmt.Errorf("starting the %s: %w", s.what, err)
			return errors.Join(err, stopServers(b.servers[:i]))
		}
		s.Start(ln)
	}
	return nil
}

// stopServers stops servers that run.
func stopServers(list []server) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var errs []error
	for _, s := range list {
		errs = append(errs, s.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

func (b *Broker) stopServers() error { return stopServers(b.servers) }
