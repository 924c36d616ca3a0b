package polywire

import (
	"context"
	"errors"
	"time"

	"github.com/polywire/polywire/sockets"
)

// ErrHandedOver is the cause with which the context of Run ends when another process, or
// systemd, has the listeners as well and goes on with them: they are closed at once, so that
// new clients come to that process, and nobody is refused. Clients that are connected here
// are told goodbye at the configured pace, as always.
var ErrHandedOver = errors.New("the listeners are handed over")

// entering is how long clients that were accepted may take to come in, or to get the answer
// of plain HTTP, before a broker that has handed its listeners over begins to drain.
const entering = 15 * time.Second

// Sockets returns the listeners, under the names by which those of the next process are
// asked for with [WithListen]. They stay the broker's; [sockets.Given.Next] hands them on.
func (b *Broker) Sockets() []sockets.Socket {
	list := b.parts.Network.Sockets()
	if b.admin != nil {
		list = append(list, sockets.Socket{Name: adminSocket, Listener: b.admin.Listener()})
	}
	return list
}

// takeLeave is what comes before draining. New clients are still let in and served: until
// load balancers have noticed that nobody is to be sent here any more, or, where another
// process goes on with the listeners, those who had been accepted already.
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
	if err := b.stopAdmin(); err != nil {
		b.log.Warn("handing over", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), entering)
	defer cancel()
	if err := b.parts.Network.StopListening(ctx); err != nil {
		b.log.Warn("handing over", "error", err)
	}
}
