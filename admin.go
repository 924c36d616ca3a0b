package polywire

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/polywire/polywire/admin"
	"github.com/polywire/polywire/config"
)

// adminSocket is the name of the admin server's listener.
const adminSocket = "$admin"

// adminSource is what the admin server may read.
func (b *Broker) adminSource() admin.Source {
	stats := b.parts.Network.Stats()
	src := admin.Source{
		Version:  Version(),
		Rejected: &stats.Rejected, AcceptErrors: &stats.AcceptErrors,
		Panics: func() uint64 { return stats.Panics.Load() + b.parts.Engine.Panics() },
		Calls:  b.parts.Engine.Calls, Topics: b.parts.Engine.Topics,
		Outbound: b.parts.Network.Outbound, OutboundBudget: b.parts.Network.OutboundBudget(),
		Inbound: b.parts.Network.Inbound, InboundBudget: b.parts.Network.InboundBudget,
		Memory:       b.parts.Network.Memory,
		LogDropped:   b.lines.Dropped,
		Connections:  b.parts.Network,
		Closed:       b.parts.Engine.Closed,
		Publish:      b.Publish,
		Call:         b.Call,
		Certificates: b.parts.Certificates,
		Services:     b.parts.Services,
		Ready:        b.parts.Network.Ready,
		Cluster:      b.parts.Cluster(),
		Bridges:      b.parts.Bridges,
		Endpoints:    b.parts.Counted,
		Reloads:      &b.reloads,
		ReloadToken:  b.cfg.Admin.ReloadToken,
		Hosts:        adminHosts(b.cfg.Admin),
		Tap:          b.tap,
		Taps:         b.taps,
		Redact:       admin.Redact(b.cfg.Admin.Redact),
	}
	if b.source != nil {
		src.Reload = func(dryRun bool) (any, error) { return b.Reread(dryRun) }
	}
	return src
}

// adminHosts are the host names under which the admin server answers.
func adminHosts(a config.Admin) []string {
	if host, _, err := net.SplitHostPort(a.Listen); err == nil && host != "" && net.ParseIP(host) == nil {
		return append(slices.Clone(a.Hosts), host)
	}
	return a.Hosts
}

// startAdmin starts the admin server, if there is one.
func (b *Broker) startAdmin() error {
	if b.admin == nil {
		return nil
	}
	ln, err := b.listen(adminSocket, b.cfg.Admin.Listen)
	if err != nil {
		return fmt.Errorf("starting the admin server: %w", err)
	}
	b.admin.Start(ln)
	return nil
}

func (b *Broker) stopAdmin() error {
	if b.admin == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return b.admin.Shutdown(ctx)
}
