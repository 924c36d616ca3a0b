package polywire

import (
	"context"
	"errors"
	"time"

	"github.com/polywire/polywire/sockets"
)

// ErrHandedOver is the cause with which the context of Run ends when another process, or systemd,
// also holds the listeners and keeps serving them. The broker then closes them at once, so that new
// clients reach that process, and refuses nobody. Clients that are connected here hear the goodbye
// at the configured pace, as always.
var ErrHandedOver = errors.New("the listeners are handed over")

// entering bounds how long accepted clients may take to be admitted, or to get their plain HTTP
// answer, before a broker that has handed its listeners over begins to drain.
const entering = 15 * time.Second

// Sockets returns the listeners, under the names by which the next process asks for its own with
// [WithListen]. They still belong to the broker; [sockets.Given.Next] hands them on.
func (b *Broker) Sockets() []sockets.Socket {
	list := b.parts.Network.Sockets()
	for _, s := range b.servers {
		list = append(list, sockets.Socket{Name: s.socket, Listener: s.Listener()})
	}
	return list
}

// takeLeave runs before draining. New clients are still admitted and served until load balancers
// have noticed that this process is leaving, or, if another process keeps serving the listeners,
// until those already accepted are in.
func (b *Broker) takeLeave(cause error) {
	b.parts.Network.Leave()
	if !errors.Is(cause, ErrHandedOver) {
		if delay := b.parts.Config().Drain.Delay; delay > 0 {
			b.log.Info("leaving: clients are let in until draining begins", "delay", delay)
			time.Sleep(delay)
		}
		return
	}
	b.log.Info("the listeners are handed over")
	if err := b.stopServers(); err != nil {
		b.log.Warn("handing over", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), entering)
	defer cancel()
	if err := b.parts.Network.StopListening(ctx); err != nil {
		b.log.Warn("handing over", "error", err)
	}
}
