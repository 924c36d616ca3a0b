package polywire

import (
	"context"
	"errors"
	"time"

	"github.com/polywire/polywire/config"
)

// drain shuts down in order: it admits nobody, waits for calls to end, and says goodbye to the
// clients at the configured pace.
func (b *Broker) drain() error {
	// Wait for a running reload; none starts once draining is closed.
	b.reloading.Lock()
	b.parts.Engine.RefuseCalls()
	b.parts.Network.StopAdmitting()
	b.life.draining.pass()
	b.reloading.Unlock()
	d := b.parts.Config().Drain
	b.log.Info("draining", "connections", b.parts.Network.Connections(), "calls", b.parts.Engine.Calls(), "timeout", d.Timeout)
	ctx, cancel := context.WithTimeout(context.Background(), d.Timeout)
	defer cancel()
	waiting, stop := context.WithTimeout(ctx, d.Timeout-closingTime(d, b.parts.Network.Connections()))
	if err := b.parts.Engine.Drain(waiting); err != nil {
		b.log.Warn("ending calls that did not end in time", "error", err)
	}
	stop()
	b.parts.HandOverBridges() // the goodbye may take long, and calls are refused meanwhile
	// Callers hear that their calls have failed before they hear the goodbye. Until the goodbye,
	// authorizers and session stores are still asked.
	b.parts.Engine.EndCalls()
	err := errors.Join(b.parts.Network.Shutdown(ctx, d.Rate.PerSecond()), b.parts.Engine.AwaitSessions(ctx))
	b.parts.Engine.Close()
	return errors.Join(err, b.parts.Engine.AwaitHooks(ctx), b.stopServers())
}

// closingTime returns how much of the drain timeout is reserved for closing n connections: the time
// that their pace needs, but at least a quarter and at most a half.
func closingTime(d config.Drain, n int) time.Duration {
	took := time.Duration(0)
	if rate := d.Rate.PerSecond(); rate > 0 {
		took = time.Duration(float64(n) / rate * float64(time.Second))
	}
	return min(max(took, d.Timeout/4), d.Timeout/2)
}
