package polywire_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/polywire/polywire"
	clients "github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// quiet is for examples whose output is not the log.
var quiet = slog.New(slog.DiscardHandler)

// oneEndpoint is a configuration of the examples: vws clients, who may publish.
func oneEndpoint() *config.Config {
	return &config.Config{Endpoints: []config.Endpoint{
		{Name: "web", Protocol: "vws", Listen: "127.0.0.1:0", Options: &vws.Options{AllowSend: true}},
	}}
}

// started runs a broker until end is called. A program's tests have package polywiretest for that.
func started(broker *polywire.Broker) (end func()) {
	go func() { _ = broker.Run(context.Background()) }()
	<-broker.Ready()
	if err := broker.Err(); err != nil {
		panic(err)
	}
	return func() { _ = broker.Close() }
}

// connected is a client of a broker of oneEndpoint.
func connected(broker *polywire.Broker, heard func(core.Event)) *clients.Client {
	format, err := vws.Protocol().Default()
	if err != nil {
		panic(err)
	}
	c, err := clients.Dial(context.Background(), clients.Options{
		URL: broker.Endpoints()[0].URL, Codec: format.(core.ClientFormat).NewClientCodec, Heard: heard,
	})
	if err != nil {
		panic(err)
	}
	return c
}

// A whole program: a configuration made in Go, a handler, and a broker that serves until it is told to end.
func Example() {
	cfg := &config.Config{Endpoints: []config.Endpoint{
		{Name: "bots", Protocol: "wubsub", Listen: "127.0.0.1:0"},
		{Name: "games", Protocol: "stocking", Listen: "127.0.0.1:0"},
	}}
	broker, err := polywire.New(cfg, quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	broker.Handle("greet", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return core.Payload{Kind: core.Text, Data: []byte("hello from " + c.Service)}, nil
	})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		<-broker.Ready()
		for _, ep := range broker.Endpoints() {
			fmt.Println(ep.Name, ep.Protocol)
		}
		stop() // a real one serves on
	}()
	if err := broker.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// bots wubsub
	// games stocking
}

func ExampleNew_faults() {
	_, err := polywire.New(&config.Config{Endpoints: []config.Endpoint{
		{Name: "web", Protocol: "wsfy"},
		{Name: "mobile", Protocol: "webwire", MaxCalls: -1},
	}}, quiet)
	for line := range strings.Lines(err.Error()) {
		fmt.Print(line)
	}
	// Output:
	// endpoints[0].protocol: unknown protocol "wsfy"; did you mean "wsify"?
	// endpoints[1].max_calls: must be at least 1
}

func ExampleLoad() {
	cfg, err := polywire.Load(config.Source{Text: `
endpoints:
  - {name: web, protocol: wsify}
`, Env: []string{"POLYWIRE_ENDPOINTS__WEB__LISTEN=:3001"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, ep := range polywire.Endpoints(cfg) {
		fmt.Println(ep.Name, ep.URL, ep.HTTP)
	}
	// Output: web ws://127.0.0.1:3001/ws http://127.0.0.1:3001/broadcast
}

func ExampleBuild() {
	cfg, err := polywire.Build(config.Config{Endpoints: []config.Endpoint{
		{Name: "web", Protocol: "wsify"},
		{Name: "sensors", Protocol: "vws", Options: map[string]any{"allow_send": "sensors/#", "max_event_size": 0}},
		{Name: "mobile", Protocol: "webwire", IdleTimeout: -1, Options: &webwire.Options{Subscribe: []string{"news/#"}}},
	}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, ep := range cfg.Endpoints {
		fmt.Printf("%s %s%s %s %s\n", ep.Name, ep.Listen, ep.Path, ep.MaxMessageSize, ep.IdleTimeout)
	}
	// Output:
	// web :3000/ws 32MiB 0s
	// sensors :8080/ws 32KiB 0s
	// mobile :8081 8KiB 0s
}

func ExampleWithListener() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	broker, err := polywire.New(oneEndpoint(), quiet, polywire.WithListener("web", ln))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer started(broker)()
	fmt.Println(broker.Endpoints()[0].URL == "ws://"+ln.Addr().String()+"/ws")
	// Output: true
}

func ExampleWithHooks() {
	left := make(chan core.Reason)
	broker, err := polywire.New(oneEndpoint(), quiet, polywire.WithHooks(core.Hooks{
		Connected:    func(_ context.Context, c core.Client) { _ = c.Send("greetings", core.Sniff([]byte(`"welcome"`))) },
		Disconnected: func(_ core.Client, r core.Reason) { left <- r },
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer started(broker)()
	heard := make(chan string)
	c := connected(broker, func(ev core.Event) { heard <- string(ev.Topic) + ": " + string(ev.Payload.Data) })
	fmt.Println(<-heard)
	c.Close(context.Background())
	fmt.Println(<-left)
	// Output:
	// greetings: "welcome"
	// normal
}

func ExampleBroker_Handle() {
	broker, err := polywire.New(oneEndpoint(), quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	broker.Use(func(next core.Handler) core.Handler {
		return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
			fmt.Println("asked for", c.Service)
			return next(ctx, c)
		}
	})
	broker.Handle("greet/+", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		if len(c.Payload.Data) == 0 {
			return core.Payload{}, core.Failure{Code: "NAMELESS", Text: "who are you?"}
		}
		return core.Payload{Kind: core.Text, Data: append([]byte("hello "), c.Payload.Data...)}, nil
	})
	defer started(broker)()
	// Clients ask in their formats; the program asks so.
	for _, name := range []string{"ann", ""} {
		answer, err := broker.Call(context.Background(), "web", "greet/politely", core.Payload{Kind: core.Text, Data: []byte(name)})
		failure, _ := errors.AsType[core.Failure](err)
		fmt.Printf("%q %q\n", answer.Data, failure.Code)
	}
	// Output:
	// asked for greet/politely
	// "hello ann" ""
	// asked for greet/politely
	// "" "NAMELESS"
}

func ExampleBroker_Publish() {
	broker, err := polywire.New(oneEndpoint(), quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer started(broker)()
	heard := make(chan string)
	c := connected(broker, func(ev core.Event) { heard <- string(ev.Topic) + ": " + string(ev.Payload.Data) })
	defer c.Close(context.Background())
	if _, err := c.Do(context.Background(), core.Command{Verb: core.Subscribe, Topic: []byte("news/#"), Pattern: true}); err != nil {
		fmt.Println(err)
	}
	if err := broker.Publish("web", "news/today", core.Payload{Kind: core.JSON, Data: []byte(`{"n":1}`)}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-heard)
	err = broker.Publish("web", "$serve/x", core.Payload{})
	failure, _ := errors.AsType[core.Failure](err)
	fmt.Println(failure.Code)
	// Output:
	// news/today: {"n":1}
	// denied
}

func ExampleBroker_Hear() {
	broker, err := polywire.New(oneEndpoint(), quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	heard := make(chan string, 1)
	broker.Hear("sensors/#", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		heard <- fmt.Sprintf("%s says %s on %s", c.Endpoint, c.Payload.Data, c.Service)
		return core.Payload{}, nil
	})
	defer started(broker)()
	c := connected(broker, nil)
	defer c.Close(context.Background())
	_, err = c.Do(context.Background(), core.Command{Verb: core.Publish, Topic: []byte("sensors/4"), Payload: core.Payload{Kind: core.JSON, Data: []byte("21.5")}})
	fmt.Println(<-heard, err)
	// Output: web says 21.5 on sensors/4 <nil>
}

// A program asks a client of an old format something.
func ExampleBroker_Call() {
	broker, err := polywire.New(oneEndpoint(), quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer started(broker)()
	format, _ := vws.Protocol().Default()
	var device *clients.Client
	device = clients.Prepare(clients.Options{
		URL: broker.Endpoints()[0].URL, Codec: func() core.ClientCodec { return clients.ByTopic(format.(core.ClientFormat).NewClientCodec()) },
		Heard: func(ev core.Event) {
			if ev.Kind == core.Request {
				_ = device.Post(core.Command{Verb: core.Reply, Call: ev.Call, Payload: core.Sniff([]byte(`{"battery":80}`))}, nil)
			}
		},
	})
	device.Start()
	defer device.Close(context.Background())
	if _, err := device.Do(context.Background(), core.Command{Verb: core.Offer, Services: [][]byte{[]byte("device/7/status")}}); err != nil {
		fmt.Println(err)
	}
	answer, err := broker.Call(context.Background(), "web", "device/7/status", core.Payload{})
	fmt.Println(string(answer.Data), err)
	_, err = broker.Call(context.Background(), "web", "device/8/status", core.Payload{})
	fmt.Println(err)
	// Output:
	// {"battery":80} <nil>
	// calling "device/8/status": no_service: nobody answers the service
}

// A program finds the client for which most is queued, and ends it.
func ExampleBroker_Clients() {
	broker, err := polywire.New(oneEndpoint(), quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer started(broker)()
	c := connected(broker, nil)
	defer c.Close(context.Background())
	var slowest core.ConnectionInfo
	for one, err := range broker.Clients(context.Background(), polywire.ClientFilter{Endpoint: "web"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if one.Queued >= slowest.Queued {
			slowest = one
		}
	}
	fmt.Println(slowest.Protocol, slowest.Queued)
	fmt.Println(broker.CloseClient(context.Background(), slowest.ID, core.ReasonSlow))
	// Output:
	// vws 0
	// <nil>
}

// The metrics of a broker are served with those of the program.
func ExampleBroker_Collector() {
	broker, err := polywire.New(oneEndpoint(), quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer started(broker)()
	registry := prometheus.NewRegistry()
	registry.MustRegister(broker.Collector())
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "polywire_connections_open{") {
			fmt.Fprint(os.Stdout, line)
		}
	}
	// Output: polywire_connections_open{endpoint="web",protocol="vws"} 0
}
