package soak

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// configuration is what reload number n puts in force, 0 the first. It has two endpoints of each
// format for steady clients, which never change, one of each for sleepers and two for storms, whose
// limits, rules and certificates do, and one for guests that the next one does not have. Half of
// them use TLS.
func (w *world) configuration(n int) string {
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
	// Give steady clients time to answer, however slow the machine is.
	peaceful := fmt.Sprintf(", ping_interval: 30s, pong_timeout: %s", patience)
	for _, name := range slices.Sorted(maps.Keys(dialects)) {
		endpoint(name, name, w.plain, peaceful)
		endpoint(name+"-tls", name, w.tls, peaceful)
		listen := w.plain
		switch name {
		case "wsify":
			listen = w.lone // one listener serves the plain HTTP of one such endpoint
		case "vws", "webwire":
			listen = w.tls
		}
		endpoint("slow-"+name, name, listen, fmt.Sprintf(", outbound_limit: %dKiB, slow_consumer: %s", 64+n%3, policies[name].name))
	}
	endpoint("storm", "vws", w.plain, fmt.Sprintf(`, limits: {connections: %d, messages: "%d/s"}`, 20+n%5, 10_000+n%7))
	endpoint("storm-tls", "vws", w.tls, fmt.Sprintf(`, acl: {publish: ["rooms/%d/#"], subscribe: {allow: ["#"], deny: ["secret/%d"]}}`, n, n))
	endpoint(guestsOf(n), "vws", w.plain, "")
	fmt.Fprintf(&b, "services: [{match: echo/%d, builtin: echo}]\n", n)
	fmt.Fprintf(&b, "network: {handshake_rate: %d/s, send_buffer: 64KiB, handshake_timeout: %s}\n", 500+n%4*50, patience)
	b.WriteString("admin: {listen: \"127.0.0.1:0\"}\ndrain: {timeout: 5s}\n")
	return b.String()
}

// guestsOf is the name of the endpoint that only configuration n has.
func guestsOf(n int) string { return fmt.Sprintf("guests-%d", n) }

// reload puts the next configuration in force, with another certificate. It must not affect the
// steady clients' endpoints; guests have to go, and others come.
func (w *world) reload(t *testing.T) {
	t.Helper()
	w.reloads++
	w.renew(t)
	plan, err := w.Reload(load(t, w.configuration(w.reloads)))
	if err != nil {
		t.Errorf("reload %d: %v", w.reloads, err)
		return
	}
	touched := make(map[string]polywire.Outcome)
	for _, ep := range plan.Endpoints {
		if ep.Outcome != polywire.Unchanged {
			touched[ep.Name] = ep.Outcome
		}
	}
	for name := range dialects {
		if touched[name] != "" || touched[name+"-tls"] != "" {
			t.Errorf("reload %d touches the endpoints of the peaceful: %v", w.reloads, plan)
		}
	}
	if touched["storm"] != polywire.Live || touched["storm-tls"] != polywire.Live ||
		touched[guestsOf(w.reloads)] != polywire.Added || touched[guestsOf(w.reloads-1)] != polywire.Removed {
		t.Errorf("reload %d: %v", w.reloads, plan)
	}
	w.farewell(t)
	w.invite(t)
}

// invite connects guests to the endpoint of the last reload, as far as the rate allows.
func (w *world) invite(t *testing.T) {
	t.Helper()
	url := strings.Replace(w.urls["storm"], "/storm", "/"+guestsOf(w.reloads), 1)
	for range 3 {
		guest, err := dial(t.Context(), w.by, url, vws{})
		switch {
		case err == nil:
			w.guests = append(w.guests, guest)
			w.invited++
		case !refusedAtDoor(url, err):
			t.Errorf("a guest: %v", err)
		}
	}
}

// farewell checks that the guests are disconnected.
func (w *world) farewell(t *testing.T) {
	t.Helper()
	for _, guest := range w.guests {
		_ = guest.conn.SetReadDeadline(time.Now().Add(patience))
		var closed wsutil.ClosedError
		if _, err := guest.hear(); !errors.As(err, &closed) {
			t.Errorf("a guest of an endpoint that is gone: %v", err)
		}
		_ = guest.conn.Close()
	}
	w.guests = nil
}

// renew writes a certificate.
func (w *world) renew(t *testing.T) {
	t.Helper()
	certstest.Write(t, w.dir, "a", w.ca.Issue(nil, "127.0.0.1"))
}
