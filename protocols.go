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
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
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

var _ httpFormat = (*wsify.Format)(nil)

// authorizer returns the authorizer that the options of a protocol ask for; nil
// if they ask for none.
func authorizer(options any, log *slog.Logger) *auth.Webhook {
	o, ok := options.(*wsify.Options)
	if !ok || o.AuthorizerURL == "" {
		return nil
	}
	return auth.NewWebhook(o.AuthorizerURL, o.AuthorizerTimeout, log)
}

// hasSessions reports whether the options of a protocol ask for sessions.
func hasSessions(options any) bool {
	o, ok := options.(*webwire.Options)
	return ok && o.Sessions.Store != webwire.NoStore
}

// sessions returns own, or if it is nil the session store that the options of a
// protocol ask for, and how many connections a session may have; nil if they ask for
// none.
func sessions(options any, own core.SessionStore) (store core.SessionStore, maxConnections int, err error) {
	o, ok := options.(*webwire.Options)
	if !ok {
		return own, 0, nil
	}
	switch {
	case own != nil:
		store = own
	case o.Sessions.Store == webwire.MemoryStore:
		store = engine.NewMemorySessions()
	case o.Sessions.Store == webwire.FileStore:
		if store, err = webwire.NewFileSessions(o.Sessions.Dir); err != nil {
			return nil, 0, fmt.Errorf("opening session store: %w", err)
		}
	}
	return store, o.Sessions.MaxConnections, nil
}

// callsAtOnce returns how many calls of one connection the options of a protocol let
// run at once; 0 is no bound.
func callsAtOnce(options any) int {
	o, ok := options.(*webwire.Options)
	switch {
	case !ok || o.ConcurrencyLimit < 0:
		return 0
	case o.ConcurrencyLimit == 0:
		return 1
	}
	return o.ConcurrencyLimit
}

// httpPath returns the path at which the plain HTTP of a protocol takes
// messages; "" if there is none.
func httpPath(options any) string {
	if o, ok := options.(*wsify.Options); ok {
		return o.BroadcastPath
	}
	return ""
}
