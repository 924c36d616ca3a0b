package client_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// A client subscribes, publishes and hears itself. The server is a broker here, and may be any server of the format.
func Example() {
	ctx := context.Background()
	server, err := polywire.New(&config.Config{Endpoints: []config.Endpoint{
		{Name: "web", Protocol: "vws", Listen: "127.0.0.1:0", Options: &vws.Options{AllowSend: true}},
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = server.Run(ctx) }()
	<-server.Ready()
	defer server.Close()

	format, err := vws.Protocol().Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	heard := make(chan core.Event, 1)
	c, err := client.Dial(ctx, client.Options{
		URL: server.Endpoints()[0].URL, Codec: format.(core.ClientFormat).NewClientCodec,
		Heard: func(ev core.Event) { heard <- ev.Clone() },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close(ctx)
	if _, err := c.Do(ctx, core.Command{Verb: core.Subscribe, Topic: []byte("news")}); err != nil {
		fmt.Println(err)
	}
	if _, err := c.Do(ctx, core.Command{Verb: core.Publish, Topic: []byte("news"), Payload: core.Sniff([]byte(`{"n":1}`))}); err != nil {
		fmt.Println(err)
	}
	ev := <-heard
	fmt.Printf("%s %s %s\n", ev.Kind, ev.Topic, ev.Payload.Data)
	// Output: message news {"n":1}
}
