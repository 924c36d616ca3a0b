package soak

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// policy is a slow consumer policy for sleepers, and where its effect shows.
type policy struct{ name, metric, reason string }

// policies are the policies for the sleepers of each format.
var policies = map[string]policy{
	"wubsub":   {"disconnect", "polywire_connections_closed_total", "slow"},
	"wsify":    {"drop_oldest", "polywire_messages_dropped_total", "slow"},
	"stocking": {"drop_newest", "polywire_messages_dropped_total", "slow"},
	"vws":      {"conflate", "polywire_messages_dropped_total", "conflated"},
	"webwire":  {"disconnect", "polywire_connections_closed_total", "slow"},
}

// world is a broker and the addresses of its clients.
type world struct {
	*broker
	ca         *certstest.CA
	dir        string // with the certificate
	plain, tls string // listen addresses shared by many endpoints
	lone       string // one for a single endpoint
	by         ws.Dialer
	storms     storms
	loud       atomic.Int64 // published at loudTopic
	reloads    int          // so far
	guests     []*client    // at the endpoint that the last reload has added
	invited    int          // guests so far
}

func newWorld(t *testing.T) *world {
	w := &world{ca: certstest.NewCA(t, "soak"), dir: t.TempDir(), plain: freeAddress(t), tls: freeAddress(t), lone: freeAddress(t)}
	w.by.TLSConfig = &tls.Config{RootCAs: w.ca.Pool()}
	w.renew(t)
	// Warnings about slow sleepers are expected.
	w.broker = start(t, w.configuration(0), slog.LevelError)
	w.storms = storms{by: w.by, urls: []string{w.urls["storm"], w.urls["storm"], w.urls["storm"], w.urls["storm-tls"]}}
	return w
}

// freeAddress returns a free address: endpoints that share a listener have to name it.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
}
