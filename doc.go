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
// A program can answer calls (Handle, Otherwise, Use), receive what is published (Hear), publish
// (Publish), follow connections and sessions ([WithHooks]) and store the sessions ([WithSessions],
// [WithSessionKeys]). The folder examples has a program that was written with stocking's router,
// and one that was written with webwire's server.
//
// This package is only the API for embedding; package assembly builds what serves.
package polywire
