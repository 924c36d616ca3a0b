package assembly

import (
	"context"
	"log/slog"
	"net"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/internal/certs"
)

// keys are the keys and certificates of one listener. They do not change once they are in force.
type keys struct {
	endpoints []string // that share the listener
	source    *certs.Source
	watching  context.Context // ends with unwatch, and with the parts
	unwatch   context.CancelFunc
}

// newKeys loads keys. watch watches their files until ctx ends.
func newKeys(ctx context.Context, s certs.Settings, log *slog.Logger) (*keys, error) {
	source, err := certs.New(s, log)
	if err != nil {
		return nil, err
	}
	k := &keys{source: source}
	k.watching, k.unwatch = context.WithCancel(ctx)
	return k, nil
}

// renew reads the files again, or other files. Both k and next switch to the new contents when use
// is called.
func (k *keys) renew(s certs.Settings) (next *keys, use func(), err error) {
	if use, err = k.source.Prepare(s); err != nil {
		return nil, nil, err
	}
	return &keys{source: k.source, watching: k.watching, unwatch: k.unwatch}, use, nil
}

// watch watches the files until unwatch is called.
func (k *keys) watch() { k.source.Watch(k.watching) }

// listenerOf names the listener of an endpoint; port 0 is a new listener every time.
func listenerOf(c *config.Endpoint) string {
	if _, port, err := net.SplitHostPort(c.Listen); err == nil && port == "0" {
		return c.Listen + " " + c.Name
	}
	return c.Listen
}
