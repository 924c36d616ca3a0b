package assembly

import (
	"fmt"
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

// Protocols returns the built-in wire formats. This list is the only place that names them all.
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

// Optional abilities of a format besides [core.Format].
type (
	// httpFormat also answers plain HTTP.
	httpFormat interface {
		Handler(core.Publisher, *core.Stats) http.Handler
	}
	// translator runs a plugin while its endpoint is served.
	translator interface {
		Start(*core.Endpoint, *slog.Logger) error
		Stop()
	}
)

// startPlugin starts the plugin of a format, if it has one. It runs until stopPlugin.
func startPlugin(format core.Format, ep *core.Endpoint, log *slog.Logger) error {
	t, ok := format.(translator)
	if !ok {
		return nil
	}
	if err := t.Start(ep, log); err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	return nil
}

// stopPlugin ends the plugin of a format, if it has one.
func stopPlugin(format core.Format) {
	if t, ok := format.(translator); ok {
		t.Stop()
	}
}

var (
	_ httpFormat = (*wsify.Format)(nil)
	_ httpFormat = (*plugin.HTTPFormat)(nil)
	_ translator = (*plugin.Format)(nil)
	_ translator = (*plugin.HTTPFormat)(nil)
)
