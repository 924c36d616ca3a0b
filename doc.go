// Package polywire is the broker as a library: one process in which the
// WebSocket clients of several old wire formats talk to each other.
//
//	cfg, err := config.Load(config.Source{File: "config.yaml"}, polywire.Protocols())
//	…
//	broker, err := polywire.New(cfg, slog.Default())
//	…
//	broker.Handle("time", func(context.Context, string, core.Payload) (core.Payload, error) {
//		return core.Payload{Kind: core.Text, Data: []byte(time.Now().String())}, nil
//	})
//	err = broker.Run(ctx)
//
// The package wires the rooms of the house together and does nothing else.
package polywire
