package assembly

import (
	"errors"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/network"
)

// networkLimits are the limits for all listeners together.
func networkLimits(n config.Network) (network.Limits, error) {
	available := network.AvailableMemory()
	if n.MemoryWatermark.Percent > 0 && available == 0 {
		return network.Limits{}, errors.New("network.memory_watermark: how much memory there is cannot be found out here; write a size such as 2GiB")
	}
	l := network.Limits{
		MaxConnections:          n.MaxConnections,
		MaxHandshakes:           n.MaxHandshakes,
		MaxHandshakesPerAddress: n.MaxHandshakesPerAddress,
		MaxHTTPPerAddress:       n.MaxHTTPPerAddress,
		HandshakeRate:           rate(n.HandshakeRate, n.HandshakeBurst),
		MemoryWatermark:         n.MemoryWatermark.Of(available),
	}
	for _, p := range n.TrustedProxies {
		if p.Unix() {
			l.TrustUnix = true
		} else {
			l.TrustedProxies = append(l.TrustedProxies, p.Prefix)
		}
	}
	return l, nil
}

// clientLimits are the limits of an endpoint's clients.
func clientLimits(c *config.Endpoint) core.Limits {
	l := c.Limits
	return core.Limits{
		Connections:           l.Connections,
		ConnectionsPerAddress: l.ConnectionsPerAddress,
		ConnectionsPerUser:    l.ConnectionsPerUser.Max,
		UsersOfCluster:        l.ConnectionsPerUser.Scope == config.ScopeCluster,
		Messages:              rate(l.Messages, l.MessagesBurst),
		Bytes:                 rate(l.Bytes, int(l.BytesBurst)),
		Subscriptions:         l.Subscriptions,
		Patterns:              l.Patterns,
		TopicLength:           l.TopicLength,
		TopicDepth:            l.TopicDepth,
		JSONDepth:             l.JSONDepth,
		Calls:                 c.MaxCalls,
		CallTimeout:           c.CallTimeout,
	}
}

func rate(r config.Rate, burst int) core.Rate {
	return core.Rate{Amount: r.N, Per: r.Per, Burst: burst}
}
