package plugin_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

// patience bounds the wait for what happens at once.
const patience = coretest.Patience

// yamlOf returns a configuration with an endpoint "p" that the test binary translates in a
// role, and an endpoint "echo". plugin and endpoint are added to the settings of p. The
// timeouts are those of a busy machine unless plugin sets them.
func yamlOf(role, plugin, endpoint string) string {
	for _, setting := range []string{"start_timeout", "answer_timeout", "grace"} {
		if !strings.Contains(plugin, setting) {
			plugin += fmt.Sprintf(", %s: %s", setting, coretest.Patience)
		}
	}
	return fmt.Sprintf(`
endpoints:
  - name: p
    plugin: {command: [%q], env: {%s: %q}%s}
    listen: "127.0.0.1:0"
%s
  - {name: echo, protocol: echo, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`, os.Args[0], roleVariable, role, plugin, endpoint)
}

func load(t *testing.T, yaml string) (*config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return polywire.Load(config.Source{File: file}, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
	to  io.Writer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b)
	return l.to.Write(b)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

// broker is a broker that runs until the test ends.
type broker struct {
	*polywiretest.Broker
	t    *testing.T
	log  *logged
	urls map[string]string
}

func run(t *testing.T, yaml string) *broker {
	t.Helper()
	cfg, err := load(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{to: t.Output()}
	one, err := polywire.New(cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{polywiretest.Run(t, one), t, log, map[string]string{}}
	for _, ep := range b.Endpoints() {
		b.urls[ep.Name] = ep.URL
	}
	return b
}

// metric returns the sum of the series that begin with prefix.
func (b *broker) metric(prefix string) (sum float64) {
	res, err := http.Get(b.AdminURL())
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, prefix) {
			value, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			sum += value
		}
	}
	return sum
}

// until waits for what happens soon.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	coretest.Eventually(t, what, happened)
}

// client is a WebSocket connection.
type client struct {
	t *testing.T
	net.Conn
	in io.Reader
}

func (b *broker) dial(endpoint string) *client {
	b.t.Helper()
	c, err := b.connect(ws.Dialer{}, endpoint)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// connect is dial that may fail.
func (b *broker) connect(dialer ws.Dialer, endpoint string) (*client, error) {
	conn, early, _, err := dialer.Dial(b.t.Context(), b.urls[endpoint])
	if err != nil {
		return nil, err
	}
	c := &client{t: b.t, Conn: conn, in: conn}
	if early != nil {
		c.in = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	b.t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return c, nil
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next message, or "close CODE", or "end".
func (c *client) read() string {
	c.t.Helper()
	h, err := ws.ReadHeader(c.in)
	if err != nil {
		return "end"
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return "end"
	}
	if h.OpCode == ws.OpClose {
		return fmt.Sprintf("close %d", binary.BigEndian.Uint16(payload))
	}
	return string(payload)
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Fatalf("read %q, want %q", got, want)
	}
}

var pidThen = regexp.MustCompile(`^(\d+) (.*)$`)

// ask sends text and returns the number of the process that answered it.
func (c *client) ask(text string) (pid int) {
	c.t.Helper()
	c.send(text)
	got := c.read()
	m := pidThen.FindStringSubmatch(got)
	if m == nil || m[2] != text {
		c.t.Fatalf("read %q, want the echo of %q", got, text)
	}
	pid, _ = strconv.Atoi(m[1])
	return pid
}
