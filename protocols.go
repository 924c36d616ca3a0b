package polywire

import (
	"github.com/polywire/polywire/codecs/echo"
	"github.com/polywire/polywire/codecs/stocking"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/core"
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
