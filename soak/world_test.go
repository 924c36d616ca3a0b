package soak

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/certs/certstest"
	"github.com/polywire/polywire/core/coretest"
)

// policy is what is done about sleepers, and where it shows.
type policy struct{ name, metric, reason string }

// policies are those for the sleepers of each format.
var policies = map[string]policy{
	"wubsub":   {"disconnect", "polywire_connections_closed_total", "slow"},
	"wsify":    {"drop_oldest", "polywire_messages_dropped_total", "slow"},
	"stocking": {"drop_newest", "polywire_messages_dropped_total", "slow"},
	"vws":      {"conflate", "polywire_messages_dropped_total", "conflated"},
	"webwire":  {"disconnect", "polywire_connections_closed_total", "slow"},
}

// world is a broker and where its clients are.
type world struct {
	*broker
	ca         *certstest.CA
	dir        string // of the certificate
	plain, tls string // addresses to listen on, of many endpoints
	lone       string // and of one
	by         ws.Dialer
	storms     storms
	loud       atomic.Int64 // what was said at loudTopic
	reloads    int          // so far
	guests     []*client    // at the endpoint that the last reload has added
	invited    int          // so many guests came so far
}

func newWorld(t *testing.T) *world {
	w := &world{ca: certstest.NewCA(t, "soak"), dir: t.TempDir(), plain: freeAddress(t), tls: freeAddress(t), lone: freeAddress(t)}
	w.by.TLSConfig = &tls.Config{RootCAs: w.ca.Pool()}
	w.renew(t)
	// That sleepers are slow is no news.
	w.broker = start(t, w.configuration(0), slog.LevelError)
	w.storms = storms{by: w.by, urls: []string{w.urls["storm"], w.urls["storm"], w.urls["storm"], w.urls["storm-tls"]}}
	return w
}

// freeAddress is an address that nobody listens on: endpoints that share a listener
// have to name it.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
}
