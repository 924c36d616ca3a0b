package assembly

import (
	"log/slog"
	"net/http"

	"github.com/polywire/polywire/codecs/echo"
	"github.com/polywire/polywire/codecs/stocking"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/codecs/wubsub"
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

// Formats may do more than [core.Format] says.
type (
	// httpFormat answers plain HTTP beside its WebSocket.
	httpFormat interface {
		Handler(core.Publisher, *core.Stats) http.Handler
	}
	// translator has a plugin that runs while its endpoint is served.
	translator interface {
		Start(*core.Endpoint, *slog.Logger) error
		Stop()
	}
)

var (
	_ httpFormat = (*wsify.Format)(nil)
	_ httpFormat = (*plugin.HTTPFormat)(nil)
	_ translator = (*plugin.Format)(nil)
	_ translator = (*plugin.HTTPFormat)(nil)
)
