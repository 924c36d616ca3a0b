package polywiretest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/polywiretest"
)

// failing is a test whose failure is recorded.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}
func (f *failing) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// fails returns with what text a test fails.
func fails(t *testing.T, test func(t testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	over := make(chan struct{})
	go func() {
		defer close(over)
		test(f)
	}()
	<-over
	if f.text == "" {
		t.Error("the test does not fail")
	}
	return f.text
}

// vws is a configuration with one endpoint, whose clients may not publish on weather.
func vws(t testing.TB, limits config.Limits) config.Config {
	weather, err := core.ParseTemplate("weather")
	if err != nil {
		t.Fatal(err)
	}
	everything := config.ACLists{Deny: []core.Template{}}
	return config.Config{Endpoints: []config.Endpoint{{
		Name: "web", Protocol: "vws", Limits: limits, Options: map[string]any{"allow_send": true},
		ACL: &config.ACL{Publish: config.ACLists{Deny: []core.Template{weather}}, Subscribe: everything, Call: everything, Serve: everything},
	}}}
}

// TestFailures: a test that fails says what was heard instead.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		test func(t testing.TB, b *polywiretest.Broker, c *polywiretest.Client)
		want string
	}{
		"another message": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			c.Subscribe("news/#")
			c.Publish("news/a", "1")
			c.Expect("news/a", "1")
			c.Publish("news/b", `{"n":2}`)
			c.Expect("news/b", "3")
		}, "a client of web heard\n\t\"news/b\" {\"n\":2}\nand not\n\t\"news/b\" 3\nIt had heard\n\t\"news/a\" 1"},
		"another topic": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			c.Subscribe("news/#")
			c.Publish("news/a", "1")
			c.Expect("news/b", "1")
		}, "a client of web heard\n\t\"news/a\" 1\nand not\n\t\"news/b\" 1"},
		"nothing": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			b.Patience = time.Millisecond
			c.Expect("news/a", "1")
		}, "a client of web waits for\n\t\"news/a\" 1\nbut nothing came within 1ms"},
		"the end": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			_ = b.CloseClient(t.Context(), c.Connection(), core.ReasonDenied)
			c.Next()
		}, "a client of web waits for\n\tanything\nbut its connection has ended: the server closed the connection (1008"},
		"no end": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			b.Patience = time.Millisecond
			_ = c.ExpectClosed()
		}, "a client of web is still connected"},
		"refused": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			c.Publish("weather", "1")
		}, `publishing on "weather", a client of web: denied`},
		"a call that fails": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			c.Call("x", "1")
		}, `calling "x", a client of web: no_service`},
		"a call that succeeds": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			b.Connect("web").Answer("x", func(string) (string, error) { return "2", nil })
			c.CallFails("x", "1")
		}, `calling "x", a client of web: it is answered: 2`},
		"no endpoint": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			b.Connect("other")
		}, `the broker has no endpoint "other"`},
		"let in": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			b.Refused("web")
		}, "a client was let in at web"},
		"not let in": {func(_ testing.TB, b *polywiretest.Broker, c *polywiretest.Client) {
			b.Connect("web")
			b.Connect("web")
		}, "connecting to ws://127.0.0.1:"},
		"no such configuration": {func(t testing.TB, _ *polywiretest.Broker, _ *polywiretest.Client) {
			polywiretest.Start(t, config.Config{Endpoints: []config.Endpoint{{Name: "a", Protocol: "vvs"}}})
		}, `making the broker: endpoints[0].protocol: unknown protocol "vvs"`},
		"cannot run": {func(t testing.TB, b *polywiretest.Broker, _ *polywiretest.Client) {
			again, err := polywire.New(b.Config(), b.Log.Logger)
			if err == nil {
				err = again.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			polywiretest.Run(t, again)
		}, "running the broker: the broker is closed"},
	} {
		t.Run(name, func(t *testing.T) {
			got := fails(t, func(t testing.TB) {
				b := polywiretest.Start(t, vws(t, config.Limits{Connections: 2}))
				c.test(t, b, b.Connect("web"))
			})
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("it fails with %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestRefused: a client that the broker does not let in is told why.
func TestRefused(t *testing.T) {
	cfg := vws(t, config.Limits{})
	cfg.Endpoints[0].Auth = []config.Auth{{Type: "token", Tokens: []config.Token{{Token: "t0ken", Subject: "ann"}}}}
	b := polywiretest.Start(t, cfg)
	if err := b.Refused("web"); !strings.Contains(err.Error(), "401") {
		t.Error(err)
	}
	b.Log.Expect("reason=denied", "endpoint=web")
	b.Connect("web", func(o *client.Options) { o.Header = map[string][]string{"Authorization": {"Bearer t0ken"}} })
}

// BenchmarkStart measures how long a broker takes to be up.
func BenchmarkStart(b *testing.B) {
	cfg := vws(b, config.Limits{})
	for b.Loop() {
		one := polywiretest.Start(b, cfg)
		b.StopTimer()
		if err := one.Close(); err != nil {
			b.Error(err)
		}
		b.StartTimer()
	}
}
