package network

import (
	"context"

	"github.com/polywire/polywire/core"
)

// beforeUpgrade asks the application whether the client may connect. It may block. A
// panic refuses the client.
func (ep *endpoint) beforeUpgrade(ctx context.Context, h core.Handshake) (reason core.Reason, refused bool) {
	s := ep.server
	if s.options.BeforeUpgrade == nil {
		return 0, false
	}
	defer func() {
		if r := recover(); r != nil {
			s.stats.Panics.Add(1)
			s.log.Error("hook panicked", "hook", "BeforeUpgrade", "endpoint", ep.Name,
				"panic", r, "stack", stack())
			reason, refused = core.ReasonInternal, true
		}
	}()
	if err := s.options.BeforeUpgrade(ctx, ep.Name, h); err != nil {
		s.log.Debug("the application refuses a connection", "endpoint", ep.Name, "remote", h.Remote, "error", err)
		return core.ReasonDenied, true
	}
	return 0, false
}
