// Package polywire is the broker as a library: one process in which the
// WebSocket clients of several old wire formats talk to each other.
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
// A program answers calls (Handle, Otherwise, Use), hears what is published (Hear),
// publishes itself (Publish), is told of connections and sessions ([WithHooks]) and keeps
// the sessions ([WithSessions], [WithSessionKeys]). The folder examples has a program that
// was written with stocking's router, and one that was written with webwire's server.
//
// The package is the way into the house and nothing else: what serves is made in assembly.
package polywire
