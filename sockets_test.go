package polywire_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// through returns a dialer and an HTTP client for a Unix socket.
func through(t *testing.T, socket string) (ws.Dialer, *http.Client) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return ws.Dialer{NetDial: dial}, &http.Client{Transport: transport}
}

// dialThrough connects by a Unix socket.
func dialThrough(t *testing.T, d ws.Dialer, url string) *client {
	t.Helper()
	conn, early, _, err := d.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if early != nil {
		t.Fatal("the server spoke first")
	}
	if err := conn.SetDeadline(time.Now().Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn, rw: conn}
}

// TestUnixSockets: an endpoint does the same at a Unix socket as at a port, and so does the admin
// server.
func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	ca := certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "broker"))
	web, secure, admin := filepath.Join(dir, "web"), filepath.Join(dir, "secure"), filepath.Join(dir, "admin")
	b := run(t, fmt.Sprintf(`
endpoints:
  - {name: web, protocol: wsify, listen: "unix:%s", limits: {connections_per_address: 1}}
  - {name: echo, protocol: echo, listen: "unix:%[1]s", path: /echo}
  - {name: secure, protocol: echo, listen: "unix:%s", tls: {cert: %q, key: %q}}
network: {max_handshakes_per_address: 1}
admin: {listen: "unix:%s"}
`, web, secure, cert, key, admin))
	for name, want := range map[string]string{"web": "ws+unix:" + web + ":/ws", "echo": "ws+unix:" + web + ":/echo", "secure": "wss+unix:" + secure + ":/"} {
		if got := b.urls[name].URL; got != want {
			t.Errorf("%s is at %q, want %q", name, got, want)
		}
	}
	if got, want := b.urls["web"].HTTP, "http+unix:"+web+":/broadcast"; got != want {
		t.Errorf("POST to %q, want %q", got, want)
	}
	if got, want := b.AdminURL(), "http+unix:"+admin+":/metrics"; got != want {
		t.Errorf("metrics are at %q, want %q", got, want)
	}
	dialer, plain := through(t, web)
	// No client has an address there, so none is limited by it.
	one, two := dialThrough(t, dialer, "ws://broker/ws"), dialThrough(t, dialer, "ws://broker/ws")
	for i, c := range []*client{one, two} {
		c.send(`{"command":"join","args":{"channel":"room"}}`)
		// A client that hears itself has joined before.
		c.send(fmt.Sprintf(`{"command":"join","args":{"channel":"own%d"}}`, i))
		c.send(fmt.Sprintf(`{"command":"broadcast","args":{"channel":"own%d","content":"joined"}}`, i))
		c.want(`"joined"`)
	}
	response, err := plain.Post("http://broker/broadcast", "application/json", strings.NewReader(`{"channel":"room","content":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	one.want(`"x"`)
	two.want(`"x"`)
	echo := dialThrough(t, dialer, "ws://broker/echo")
	big := strings.Repeat("x", 1<<20)
	echo.send(big)
	echo.want(big)
	tlsDialer, _ := through(t, secure)
	tlsDialer.TLSConfig = &tls.Config{RootCAs: ca.Pool(), ServerName: "broker"}
	s := dialThrough(t, tlsDialer, "wss://broker/")
	s.send(big)
	s.want(big)
	_, plain = through(t, admin)
	response, err = plain.Get("http://any.name/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, _ := io.ReadAll(response.Body)
	if want := `polywire_connections_open{endpoint="web",protocol="wsify"} 2`; !strings.Contains(string(metrics), want) {
		t.Errorf("the metrics lack %s", want)
	}
}

// TestReloadAnswersLists: the lists that docs/reload.md promises are lists, even if empty.
func TestReloadAnswersLists(t *testing.T) {
	const text = `
endpoints: [{name: echo, protocol: echo, listen: "127.0.0.1:0"}]
admin: {listen: "127.0.0.1:0"}
`
	b := run(t, text, polywire.WithSource(func() (*config.Config, error) { return load(t, text), nil }))
	for _, query := range []string{"", "?dry_run=1"} {
		response, err := http.Post(strings.TrimSuffix(b.AdminURL(), "/metrics")+"/reload"+query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if want := `{"endpoints":[{"name":"echo","outcome":"unchanged","keys":[],"disconnects":0}],"applied":[],"restart":[]}`; err != nil || strings.TrimSpace(string(body)) != want {
			t.Errorf("%s, %v; want %s", body, err, want)
		}
	}
	none, err := json.Marshal(b.Plan(&config.Config{}))
	if err != nil || strings.Contains(string(none), "null") {
		t.Errorf("%s, %v", none, err)
	}
}

// TestUnixSocketOfAProxy: a client of a Unix socket is believed about whom it connects for if it is
// trusted, and not otherwise.
func TestUnixSocketOfAProxy(t *testing.T) {
	for trusted, second := range map[string]int{"[unix]": 429, "[]": 0, "[10.0.0.0/8]": 0} {
		t.Run(trusted, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			run(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: wsify, listen: "unix:%s", limits: {connections_per_address: 1}}]
network: {trusted_proxies: %s}
admin: {listen: ""}
`, socket, trusted))
			dialer, _ := through(t, socket)
			from := func(address string) int {
				t.Helper()
				dialer.Header = ws.HandshakeHeaderHTTP{"X-Forwarded-For": {address}}
				conn, _, _, err := dialer.Dial(t.Context(), "ws://broker/ws")
				if status, ok := errors.AsType[ws.StatusError](err); ok {
					return int(status)
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				return 0
			}
			for i, one := range []struct {
				address string
				want    int
			}{{"192.0.2.1", 0}, {"192.0.2.2", 0}, {"192.0.2.1", second}} {
				if got := from(one.address); got != one.want {
					t.Errorf("client %d: %d, want %d", i+1, got, one.want)
				}
			}
		})
	}
}

// TestUnixSocketIsHeldBack: a client that exceeds its rate is not read for a while, which takes its
// socket out of the loop and back.
func TestUnixSocketIsHeldBack(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	run(t, fmt.Sprintf(`
endpoints: [{name: echo, protocol: echo, listen: "unix:%s", limits: {bytes: 4MB/s, bytes_burst: 512KiB}}]
admin: {listen: ""}
`, socket))
	dialer, _ := through(t, socket)
	c := dialThrough(t, dialer, "ws://broker/")
	const messages = 64
	text := strings.Repeat("x", 64<<10)
	sent := make(chan error, 1)
	go func() {
		for range messages {
			if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for range messages {
		c.want(text)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
