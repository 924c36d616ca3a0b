package polywire

import (
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

// httpFormat is a format that answers plain HTTP beside its WebSocket.
type httpFormat interface {
	Handler(core.Publisher, *core.Stats) http.Handler
}

var (
	_ httpFormat = (*wsify.Format)(nil)
	_ httpFormat = (*plugin.HTTPFormat)(nil)
)
