package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/admin"
)

// asked sends a raw request and returns the answer.
func asked(t *testing.T, at net.Addr, request string) (status int, body string) {
	t.Helper()
	c, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: request[:strings.IndexByte(request, ' ')]})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// nobody are no connections.
type nobody struct{ admin.Connections }

func (nobody) List(context.Context, string, func(core.ConnectionInfo)) error { return nil }
func (nobody) End(context.Context, uint64, core.Reason) (c core.ConnectionInfo, err error) {
	return c, core.ErrNoConnection
}

// always is an access that does not change.
func always(a admin.Access) func() *admin.Access { return func() *admin.Access { return &a } }

// elsewhere is a listener whose clients seem to be on another machine.
type elsewhere struct{ net.Listener }

type stranger struct{ net.Conn }

func (e elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	return stranger{c}, err
}

func (stranger) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711} }

// outward returns an address of this machine outside the loopback interface.
func outward(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but those of the loopback interface")
	return ""
}

// serve runs an admin server on an address.
func serve(t *testing.T, network, address string, src admin.Source, log *slog.Logger) *admin.Server {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := admin.New(src, log)
	s.Start(ln)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestHosts: a name that somebody points at the server (DNS rebinding) gives no access.
func TestHosts(t *testing.T) {
	var log bytes.Buffer
	handler := logging.New(slog.NewTextHandler(&log, nil))
	src := source(new(atomic.Bool))
	src.Hosts = []string{"broker.internal", "10.9.8.7"}
	near := serve(t, "tcp", "127.0.0.1:0", src, slog.New(handler))
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9100": 200, "127.9.9.9": 200, "[::1]:9100": 200, "[::1]": 200,
		"localhost": 200, "LocalHost:9100": 200, "localhost.": 200, "metrics.localhost": 200,
		"broker.internal": 200, "Broker.Internal:9100": 200, "broker.internal.": 200, "10.9.8.7:1": 200, "": 200,
		"evil.example": 403, "evil.example:9100": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "xlocalhost": 403,
		"broker.internal.evil.example": 403, "10.1.2.3": 403, "[2001:db8::1]:9100": 403, "2130706433": 403, "0.0.0.0": 403,
	} {
		for _, request := range []string{"GET /metrics", "GET /livez", "HEAD /livez", "GET /v1/tap", "POST /reload", "GET /nothing", "OPTIONS *"} {
			got, body := asked(t, near.Addr(), request+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			if refused := got == 403 && (body == "" || strings.Contains(body, "admin.hosts")); refused != (want == 403) {
				t.Errorf("%s with Host %q: %d %q", request, host, got, body)
			}
		}
	}
	if got, _ := asked(t, near.Addr(), "GET /livez HTTP/1.0\r\n\r\n"); got != 200 {
		t.Errorf("HTTP/1.0 without Host: %d", got)
	}
	if got, _ := asked(t, near.Addr(), "GET http://evil.example/livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); got != 403 {
		t.Errorf("an absolute target: %d", got)
	}
	handler.Flush(time.Minute)
	if n := strings.Count(log.String(), "level=INFO"); n != 2 || !strings.Contains(log.String(), "admin.hosts") {
		t.Errorf("%d refusals are logged, want the first and a count: %s", n, &log)
	}
	ip := outward(t)
	far := serve(t, "tcp", ip+":0", src, slog.New(slog.DiscardHandler))
	for host, want := range map[string]int{ip: 200, "192.0.2.1:9100": 200, "[2001:db8::1]": 200, "localhost": 200, "broker.internal": 200, "evil.example": 403} {
		if got, _ := asked(t, far.Addr(), "GET /livez HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); got != want {
			t.Errorf("from outside with Host %q: %d, want %d", host, got, want)
		}
	}
	src.Hosts = []string{"*"}
	every := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	if got, _ := asked(t, every.Addr(), "GET /livez HTTP/1.1\r\nHost: any.example\r\n\r\n"); got != 200 {
		t.Errorf("with every name: %d", got)
	}
	src.Hosts = nil
	socket := serve(t, "unix", filepath.Join(t.TempDir(), "s"), src, slog.New(slog.DiscardHandler))
	if got, _ := asked(t, socket.Addr(), "GET /livez HTTP/1.1\r\nHost: admin\r\n\r\n"); got != 200 {
		t.Errorf("by a Unix socket: %d", got)
	}
}

// TestWhoMayReload: without a token only programs on this machine may, with one whoever shows it.
func TestWhoMayReload(t *testing.T) {
	src := source(new(atomic.Bool))
	src.Reload = func(bool) (any, error) { return "done", nil }
	src.Connections = nobody{}
	silent := slog.New(slog.DiscardHandler)
	near := serve(t, "tcp", "127.0.0.1:0", src, silent)
	socket := serve(t, "unix", filepath.Join(t.TempDir(), "s"), src, silent)
	src.Access = always(admin.Access{ReloadToken: "s3cret"})
	guarded := serve(t, "tcp", "127.0.0.1:0", src, silent)
	post := func(at *admin.Server, fields string) int {
		t.Helper()
		status, _ := asked(t, at.Addr(), "POST /reload HTTP/1.1\r\nHost: localhost\r\n"+fields+"\r\n")
		for _, other := range []string{"GET /v1/connections", "DELETE /v1/connections/1"} {
			if got, body := asked(t, at.Addr(), other+" HTTP/1.1\r\nHost: localhost\r\n"+fields+"\r\n"); got != status && got != http.StatusNotFound || (status != http.StatusOK) != strings.Contains(body, `"forbidden"`) {
				t.Errorf("with %q a reload is answered %d, and %s %d", fields, status, other, got)
			}
		}
		return status
	}
	for _, c := range []struct {
		name   string
		at     *admin.Server
		fields string
		want   int
	}{
		{"from here", near, "", 200},
		{"by a socket", socket, "", 200},
		{"a page", near, "Origin: http://localhost\r\n", 403},
		{"a proxy", near, "X-Forwarded-For: 192.0.2.1\r\n", 403},
		{"another proxy", near, "Forwarded: for=192.0.2.1\r\n", 403},
		{"a third", near, "Via: 1.1 x\r\n", 403},
		{"a fourth", near, "X-Real-IP: 192.0.2.1\r\n", 403},
		{"a proxy before a socket", socket, "X-Forwarded-For: 192.0.2.1\r\n", 403},
		{"without the token", guarded, "", 401},
		{"another token", guarded, "Authorization: Bearer s3cre\r\n", 401},
		{"another scheme", guarded, "Authorization: Basic s3cret\r\n", 401},
		{"the token", guarded, "Authorization: bearer s3cret\r\n", 200},
		{"the token by a proxy", guarded, "Authorization: Bearer s3cret\r\nX-Forwarded-For: 192.0.2.1\r\n", 200},
		{"a page with the token", guarded, "Authorization: Bearer s3cret\r\nOrigin: null\r\n", 403},
	} {
		if got := post(c.at, c.fields); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	src.Access = nil
	far := admin.New(src, silent)
	far.Start(elsewhere{ln})
	defer stop(t, far)
	if got := post(far, ""); got != 403 {
		t.Errorf("from another machine: %d", got)
	}
	// The machine's own address still counts as this machine.
	if far := serve(t, "tcp", fmt.Sprintf("%s:0", outward(t)), src, silent); post(far, "") != 200 {
		t.Error("at an address of this machine: refused")
	}
}

// broken is a listener whose clients are gone when they are answered.
type broken struct{ net.Listener }

type left struct{ net.Conn }

func (b broken) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	return left{c}, err
}

func (left) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestScrapersThatLeave: clients that ask for the metrics and leave do not cause a line each, and
// none that wakes somebody up.
func TestScrapersThatLeave(t *testing.T) {
	var log bytes.Buffer
	handler := logging.New(slog.NewTextHandler(&log, nil))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.New(source(new(atomic.Bool)), slog.New(handler))
	s.Start(broken{ln})
	client := http.Client{Transport: &http.Transport{DisableCompression: true}} // more than one write
	for range 5 {
		if response, err := client.Get("http://" + ln.Addr().String() + "/metrics"); err == nil {
			_ = response.Body.Close()
			t.Error("there is an answer")
		}
	}
	client.CloseIdleConnections()
	stop(t, s)
	handler.Flush(time.Minute)
	if said := log.String(); strings.Contains(said, "level=ERROR") || strings.Count(said, "answering /metrics") != 2 || !strings.Contains(said, "left_out=") {
		t.Errorf("want a line and a count, got\n%s", said)
	}
}
