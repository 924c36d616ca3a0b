package polywire

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/polywire/polywire/auth"
	"github.com/polywire/polywire/codecs/stocking"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/plugin"
)

// Protocols returns the wire formats that are built in. This list is the only
// place that names them all.
func Protocols() []core.Protocol {
	return []core.Protocol{
		wubsub.Protocol(),
		wsify.Protocol(),
		stocking.Protocol(),
		vws.Protocol(),
		webwire.Protocol(),
		network.Echo(),
	}
}

// A format may have powers besides [core.Format]; they are asked for here.

// httpFormat answers plain HTTP beside its WebSocket.
type httpFormat interface {
	Handler(core.Publisher, *core.Stats) http.Handler
}

var (
	_ httpFormat = (*wsify.Format)(nil)
	_ httpFormat = (*plugin.HTTPFormat)(nil)
)

// needsOf returns what the broker is to do for an endpoint's format besides.
func needsOf(ep *config.Endpoint) core.Needs {
	type needy interface{ Needs() core.Needs }
	if f, ok := ep.Format.(needy); ok {
		return f.Needs()
	}
	if o, ok := ep.Options.(needy); ok {
		return o.Needs()
	}
	return core.Needs{}
}

// authorizer returns the authorizer that a format needs; nil if it needs none.
func authorizer(n core.Needs, log *slog.Logger) *auth.Webhook {
	if n.AuthorizerURL == "" {
		return nil
	}
	return auth.NewWebhook(n.AuthorizerURL, n.AuthorizerTimeout, log)
}

// sameStore reports whether two formats need one and the same session store. Other limits
// make another store of a folder, which finds the same sessions.
func sameStore(a, b core.Needs) bool {
	return a.HasSessions() && a.Sessions == b.Sessions && a.SessionsDir == b.SessionsDir &&
		(a.Sessions == core.SessionsMemory || a.SessionLimits == b.SessionLimits)
}

// sessions returns own, or if it is nil the session store that a format needs; nil if it
// needs none.
func sessions(n core.Needs, own core.SessionStore, log *slog.Logger) (core.SessionStore, error) {
	switch {
	case own != nil:
		return own, nil
	case n.Sessions == core.SessionsMemory:
		return engine.NewMemorySessions(), nil
	case n.Sessions == core.SessionsFile:
		store, err := webwire.OpenFileSessions(webwire.FileOptions{Dir: n.SessionsDir, Limits: n.SessionLimits, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("opening session store: %w", err)
		}
		return store, nil
	case n.HasSessions():
		return nil, fmt.Errorf("there is no session store %q", n.Sessions)
	}
	return nil, nil
}
