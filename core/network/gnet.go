package network

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/panjf2000/gnet/v2"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// events is gnet's view of the server.
type events struct {
	gnet.BuiltinEventEngine
	server *Server
}

// OnOpen is called on the loop when a connection was enrolled.
func (e *events) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	l := e.server.loopOf(gc.EventLoop())
	l.beginTurn()
	defer l.endTurn()
	switch one := gc.Context().(type) {
	case *comeback:
		return nil, one.arrive(gc)
	case *guest:
		one.opened(l, gc)
		return nil, gnet.None
	}
	c := gc.Context().(*conn)
	defer e.server.recovered(c)
	c.loop = l
	c.socket.attach(gc)
	c.settings = c.ep.settings.Load()
	l.conns[c] = struct{}{}
	c.ep.Stats.Opened.Add(1)
	c.ep.Stats.Open.Add(1)
	c.startTimers()
	c.format.open()
	return nil, gnet.None
}

// connect queues the response to the upgrade and introduces the connection to the engine, once.
// Both happen together, so that the client misses no message of its first subscriptions.
func (c *conn) connect() {
	if c.peer != nil {
		return
	}
	c.queueLast(responseFrame(c.upgrade.response))
	c.upgrade.response = nil
	c.peer = c.ep.server.hub.Connect(c)
}

// listen begins to read the client's input, after its greeting.
func (c *conn) listen() {
	if c.ep.server.down.Load() || c.ep.closed.Load() {
		c.sayGoodbye(core.ReasonDrain)
	}
	c.hearEarly()
	c.upgrade = nil
}

// hearEarly takes the input that came after the upgrade request.
func (c *conn) hearEarly() {
	early := c.upgrade.early
	c.upgrade.early = nil
	if len(early) > 0 {
		c.receive(early)
	}
	if c.secure != nil {
		c.decrypt(nil) // what came with the end of the handshake
	}
	c.account()
}

// OnTraffic is called on the loop when a connection has input.
func (e *events) OnTraffic(gc gnet.Conn) gnet.Action {
	if g, ok := gc.Context().(*guest); ok {
		e.guestTraffic(gc, g)
		return gnet.None
	}
	c, ok := gc.Context().(*conn)
	if !ok || c.state == ended {
		return gnet.None
	}
	// Take the whole input: gnet copies the rest into a ring buffer.
	b, err := gc.Next(-1)
	if err != nil || len(b) == 0 {
		return gnet.None
	}
	c.loop.beginTurn()
	defer c.loop.endTurn()
	if c.secure != nil {
		c.decrypt(b)
	} else {
		c.receive(b)
	}
	c.account()
	return gnet.None
}

// guestTraffic is OnTraffic for a guest.
func (e *events) guestTraffic(gc gnet.Conn, g *guest) {
	b, err := gc.Next(-1)
	if err != nil || len(b) == 0 {
		return
	}
	g.loop.beginTurn()
	defer g.loop.endTurn()
	g.received(b)
}

// OnClose is called on the loop when a socket is about to be closed.
func (e *events) OnClose(gc gnet.Conn, err error) gnet.Action {
	if g, ok := gc.Context().(*guest); ok {
		g.loop.beginTurn()
		defer g.loop.endTurn()
		g.closed(gc, err)
		return gnet.None
	}
	c, ok := gc.Context().(*conn)
	if !ok || c.socket.gc != gc || c.state == ended {
		return gnet.None
	}
	c.loop.beginTurn()
	defer c.loop.endTurn()
	defer e.server.recovered(nil)
	c.gone()
	return gnet.None
}

// gnetLog writes gnet's log lines with slog. gnet logs every connection reset as a
// warning or error; for a server on the internet these are routine.
type gnetLog struct{ log *slog.Logger }

func (g gnetLog) Debugf(format string, args ...any) { g.say(format, args) }
func (g gnetLog) Infof(format string, args ...any)  { g.say(format, args) }
func (g gnetLog) Warnf(format string, args ...any)  { g.say(format, args) }
func (g gnetLog) Errorf(format string, args ...any) { g.report(slog.LevelWarn, format, args) }
func (g gnetLog) Fatalf(format string, args ...any) { g.report(slog.LevelError, format, args) }

func (g gnetLog) say(format string, args []any) {
	g.log.Debug("event loop says", slog.String("text", fmt.Sprintf(format, args...)))
}

// report bounds lines of the same format, because they come from the loops.
func (g gnetLog) report(level slog.Level, format string, args []any) {
	g.log.Log(context.Background(), level, "event loop reports a fault",
		logging.Bounded("", "", slog.String("kind", format)), slog.String("error", fmt.Sprintf(format, args...)))
}
