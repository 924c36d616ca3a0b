package matrix_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/matrix"
	"github.com/polywire/polywire/polywiretest"
)

// fields are what the endpoints of a format have besides the defaults. Messages are bounded so that a test
// can send the biggest ones.
var fields = map[string]string{
	"wubsub": "max_message_size: 60KiB", "wsify": "max_message_size: 90KiB", "stocking": "max_message_size: 70KiB",
	"vws": "options: {allow_send: true}", "webwire": "options: {concurrency_limit: -1}",
}

var formats = []string{"wubsub", "wsify", "stocking", "vws", "webwire"}

// configured loads a configuration with an endpoint of each format.
func configured(t *testing.T, protocols ...string) *config.Config {
	t.Helper()
	text := "admin: {listen: \"127.0.0.1:0\"}\nendpoints:\n"
	for _, protocol := range protocols {
		text += fmt.Sprintf("  - {name: %s, protocol: %[1]s, listen: \"127.0.0.1:0\", path: /ws, %s}\n", protocol, fields[protocol])
	}
	cfg, err := polywire.Load(config.Source{File: "test", Text: text}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func matrixOf(cfg *config.Config) matrix.Matrix {
	var all []matrix.Endpoint
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		all = append(all, matrix.Endpoint{Name: ep.Name, Protocol: ep.Protocol, Format: ep.Format, Options: ep.Options, MaxMessage: int(ep.MaxMessageSize)})
	}
	return matrix.Of(all)
}

// stage is a broker with endpoints of one or two formats.
type stage struct {
	broker *polywire.Broker
	urls   map[string]string
}

func serve(t *testing.T, protocols ...string) *stage {
	t.Helper()
	b, err := polywire.New(configured(t, protocols...), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	polywiretest.Run(t, b)
	s := &stage{broker: b, urls: make(map[string]string)}
	for _, ep := range b.Endpoints() {
		s.urls[ep.Name] = ep.URL
	}
	return s
}

// unwritable returns how many messages the endpoint has dropped because they cannot be written.
func (s *stage) unwritable(t *testing.T, endpoint string) int {
	t.Helper()
	response, err := http.Get(s.broker.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^polywire_messages_dropped_total\{endpoint="` + endpoint + `".*reason="unwritable"\} (\d+)`).FindSubmatch(page)
	if found == nil {
		t.Fatalf("no counter of dropped messages of %s", endpoint)
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// told is an event, and the message that told it.
type told struct {
	ev      core.Event
	message []byte
}

// speaker is a client.
type speaker struct {
	*client.Client
	protocol string
	heard    chan told  // messages and requests
	gone     chan error // why the connection has ended

	// Guarded by mu.
	mu       sync.Mutex
	sent     []byte // the message that was said last
	received []byte // the message that was read last
	read     string // all messages that were read
	events   []core.Event
}

// recorder keeps what a client says and reads.
type recorder struct {
	core.ClientCodec
	of *speaker
}

func (r recorder) Say(c core.Command, say func(core.Frame)) (bool, error) {
	return r.ClientCodec.Say(c, func(f core.Frame) {
		r.of.mu.Lock()
		r.of.sent = bytes.Clone(f.Data)
		r.of.mu.Unlock()
		say(f)
	})
}

func (r recorder) Hear(f core.Frame, tell func(core.Event)) error {
	r.of.mu.Lock()
	r.of.received = bytes.Clone(f.Data)
	r.of.read += string(f.Data)
	r.of.mu.Unlock()
	return r.ClientCodec.Hear(f, tell)
}

func (s *speaker) last() (sent, received []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.received
}

// connect returns a new client of a format.
func (s *stage) connect(t *testing.T, protocol string) *speaker {
	t.Helper()
	var format core.ClientFormat
	for _, p := range polywire.Protocols() {
		if p.Name == protocol {
			f, err := p.Default()
			if err != nil {
				t.Fatal(err)
			}
			format = f.(core.ClientFormat)
		}
	}
	k := &speaker{protocol: protocol, heard: make(chan told, 100), gone: make(chan error, 1)}
	c, err := client.Dial(t.Context(), client.Options{
		URL:   s.urls[protocol],
		Codec: func() core.ClientCodec { return recorder{client.ByTopic(format.NewClientCodec()), k} },
		Heard: func(ev core.Event) {
			k.mu.Lock()
			k.events = append(k.events, ev.Clone())
			k.mu.Unlock()
			if ev.Kind == core.Message || ev.Kind == core.Request {
				_, message := k.last()
				k.heard <- told{ev.Clone(), message}
			}
		},
		Changed: func(err error) {
			if err != nil {
				k.gone <- err
			}
		},
		Timeout:    coretest.Patience,
		FirstPause: time.Hour, MaxPause: time.Hour, // a connection that ends is not made again
	})
	if err != nil {
		t.Fatal(err)
	}
	k.Client = c
	t.Cleanup(func() {
		ctx, cancel := context.WithDeadline(context.Background(), coretest.Deadline())
		defer cancel()
		c.Close(ctx)
	})
	return k
}
