package polywire

import (
	"log/slog"
	"net/http"

	"github.com/polywire/polywire/auth"
	"github.com/polywire/polywire/codecs/echo"
	"github.com/polywire/polywire/codecs/stocking"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
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
		echo.Protocol(),
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
