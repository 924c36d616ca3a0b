package soak

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/certs/certstest"
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
	plain, tls string // addresses to listen on
	by         ws.Dialer
	storms     storms
	reloads    int
}

func newWorld(t *testing.T) *world {
	w := &world{ca: certstest.NewCA(t, "soak"), dir: t.TempDir(), plain: freeAddress(t), tls: freeAddress(t)}
	w.by.TLSConfig = &tls.Config{RootCAs: w.ca.Pool()}
	w.renew(t)
	// That sleepers are slow is no news.
	w.broker = start(t, w.configuration(), slog.LevelError)
	w.storms = storms{by: w.by, urls: []string{w.urls["storm"], w.urls["storm"], w.urls["storm"], w.urls["storm-tls"]}}
	return w
}

// freeAddress is an address that nobody listens on: endpoints that share a listener
// have to name it.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// configuration has two endpoints of each format for the peaceful, one of each for
// sleepers, and two for storms; half of them speak TLS.
func (w *world) configuration() string {
	var b strings.Builder
	endpoint := func(name, protocol, listen, more string) {
		if listen == w.tls {
			more += fmt.Sprintf(", tls: {cert: %q, key: %q}", w.dir+"/a.pem", w.dir+"/a.key")
		}
		if protocol == "vws" {
			more += ", options: {allow_send: true}"
		}
		fmt.Fprintf(&b, "  - {name: %s, protocol: %s, listen: %q, path: /%s%s}\n", name, protocol, listen, name, more)
	}
	b.WriteString("endpoints:\n")
	for _, name := range slices.Sorted(maps.Keys(dialects)) {
		endpoint(name, name, w.plain, "")
		endpoint(name+"-tls", name, w.tls, "")
		listen := w.plain
		switch name {
		case "wsify":
			listen = "127.0.0.1:0" // one listener has the plain HTTP of one such endpoint
		case "vws", "webwire":
			listen = w.tls
		}
		endpoint("slow-"+name, name, listen, ", outbound_limit: 64KiB, slow_consumer: "+policies[name].name)
	}
	endpoint("storm", "vws", w.plain, "")
	endpoint("storm-tls", "vws", w.tls, "")
	b.WriteString("network: {handshake_rate: 500/s, send_buffer: 64KiB}\nadmin: {listen: \"127.0.0.1:0\"}\n")
	return b.String()
}

// reload changes what is not the peaceful ones' own.
func (w *world) reload(t *testing.T) {
	t.Helper()
	w.reloads++
	w.renew(t)
}

// renew writes a certificate.
func (w *world) renew(t *testing.T) {
	t.Helper()
	certstest.Write(t, w.dir, "a", w.ca.Issue(nil, "127.0.0.1"))
}
