package network

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// beforeUpgrade asks the application whether the client may connect. It may block. A
// panic refuses the client.
func (ep *endpoint) beforeUpgrade(ctx context.Context, h core.Handshake) (refused *refusal) {
	s := ep.server
	if s.options.BeforeUpgrade == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			s.stats.Panics.Add(1)
			s.log.Error("hook panicked", logging.Bounded(ep.Name, core.ReasonInternal.String()),
				slog.String("hook", "BeforeUpgrade"), slog.String("panic", fmt.Sprint(r)), slog.String("stack", stack()))
			refused = &refusal{core.ReasonInternal, http.StatusForbidden, "the application's hook panicked", nil}
		}
	}()
	if err := s.options.BeforeUpgrade(ctx, ep.Name, h); err != nil {
		return &refusal{core.ReasonDenied, http.StatusForbidden, "the application does not let it in", cause(err)}
	}
	return nil
}
