package config_test

import (
	"fmt"
	"time"

	"github.com/polywire/polywire/codecs/webwire"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// A program makes a configuration without a file; polywire.New does this with one that was not built before.
func ExampleBuild() {
	cfg, err := config.Build(config.Config{
		Endpoints: []config.Endpoint{{
			Name: "mobile", Protocol: "webwire", IdleTimeout: time.Minute,
			Options: &webwire.Options{Sessions: webwire.SessionOptions{Store: webwire.NoStore}},
			Limits:  config.Limits{Messages: config.Rate{N: 100, Per: time.Second}},
		}},
		Drain: config.Drain{Timeout: 5 * time.Second},
	}, []core.Protocol{webwire.Protocol()}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	mobile := cfg.Endpoints[0]
	fmt.Println(mobile.Listen, mobile.MaxMessageSize, mobile.MaxCalls, mobile.Limits.Messages, mobile.Options.(*webwire.Options).ReplyEncoding)
	// Output: :8081 8KiB 1024 100/s same
}

func ExampleLoad() {
	_, err := config.Load(config.Source{Text: `
endpoints:
  - name: web
    protocol: wsify
    max_mesage_size: 1MiB
    call_timeout: 30
`}, []core.Protocol{wsify.Protocol()})
	fmt.Println(err)
	// Output:
	// config:5: endpoints[0].max_mesage_size: unknown key; did you mean "max_message_size"?
	// config:6: endpoints[0].call_timeout: must be a duration such as 30s or 5m, not "30"
}
