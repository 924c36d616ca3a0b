// Package polywire is the broker as a library: one process in which the WebSocket clients of
// several legacy wire formats talk to each other.
//
//	cfg, err := polywire.Load(config.Source{File: "config.yaml"}, nil)
//	…
//	broker, err := polywire.New(cfg, slog.Default())
//	…
//	broker.Handle("time", func(context.Context, core.Invocation) (core.Payload, error) {
//		return core.Payload{Kind: core.Text, Data: []byte(time.Now().String())}, nil
//	})
//	err = broker.Run(ctx)
//
// A configuration may also be made in Go, without a file:
//
//	cfg := &config.Config{Endpoints: []config.Endpoint{{Name: "web", Protocol: "wsify"}}}
//
// A program can answer calls (Handle, Otherwise, Use), receive what is published (Hear), publish
// (Publish), ask clients of any format (Call), follow connections and sessions ([WithHooks]) and store
// the sessions ([WithSessions], [WithSessionKeys]). It sees who is connected and what they hear (Clients,
// Client, ClosedClients), ends a client (CloseClient), serves at its own listeners ([WithListener]), and
// has the metrics in its own registry (Collector). Its tests run brokers and clients with package
// polywiretest. The folder examples has a program that was written with stocking's router,
// and one that was written with webwire's server.
//
// This package is only the API for embedding; package assembly builds what serves.
package polywire
