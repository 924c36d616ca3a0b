package config

import (
	"strings"
	"testing"

	"github.com/polywire/polywire/codecs/stocking"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/codecs/wsify"
	"github.com/polywire/polywire/codecs/wubsub"
	"github.com/polywire/polywire/core"
)

// Faults in a bridge name their key.
func TestBridges(t *testing.T) {
	const good = `{name: old, protocol: wubsub, url: "ws://h:1/", hear: [a]}`
	for _, c := range []struct{ bridge, want string }{
		{good, ""},
		{`{name: old, protocol: vws, url: "wss://h/", tell: ["a/#"], tls: {ca: x}, token: t, queue_limit: 1MiB, calls: {timeout: 5s}}`, ""},
		{`{protocol: wubsub, url: "ws://h:1/", hear: [a]}`, "bridges[0].name: is missing"},
		{`{name: web, protocol: wubsub, url: "ws://h:1/", hear: [a]}`, `"web" is the name of an endpoint already`},
		{`{name: a b, protocol: wubsub, url: "ws://h:1/", hear: [a]}`, "may hold letters, digits, - and _ only"},
		{good + ", " + good, `"old" is the name of a bridge already`},
		{`{name: old, url: "ws://h:1/", hear: [a]}`, "bridges[0].protocol: is missing"},
		{`{name: old, protocol: wubsb, url: "ws://h:1/", hear: [a]}`, `not "wubsb"; did you mean "wubsub"?`},
		{`{name: old, protocol: wubsub, hear: [a]}`, "bridges[0].url: is missing"},
		{`{name: old, protocol: wubsub, url: "http://user:secret@h/", hear: [a]}`, "bridges[0].url: is no address"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", hear: [a], tls: {ca: x}}`, "tls: is no use with ws://"},
		{`{name: old, protocol: wubsub, url: "wss://h:1/", hear: [a], tls: {cert: x}}`, "cert and key belong together"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/"}`, "bridges[0]: does nothing"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", hear: [""]}`, "bridges[0].hear[0]: is empty"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", tell: [a, a]}`, `bridges[0].tell[1]: "a" is listed already`},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", tell: ["#/a"]}`, "matches nothing"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", tell: ["$call/x"]}`, "belongs to the broker"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", calls: {to: ["a/+"]}}`, "must not have wildcards"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", hear: [a], token: t, headers: {authorization: x}}`, "is the header Authorization"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", hear: [a], max_message_size: -1}`, "bridges[0].max_message_size: "},
		{`{name: old, protocol: stocking, url: "ws://h:1/", hear: [a], max_message_size: 1KiB}`, "max_message_size: is no use with stocking, whose servers have no limit or say it themselves"},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", hear: [a], queue_limit: 1}`, "must be at least 1KiB"},
		{good + `, {name: two, protocol: wubsub, url: "ws://h:1", tell: [b, a]}`, `bridges[1].tell[1]: "a" goes round and round: the bridge "two" tells it, and the bridge "old" hears "a" at the same server`},
		{`{name: one, protocol: vws, url: "ws://H:1/x", tell: ["a/#"]}, {name: two, protocol: vws, url: "ws://u:secret@h:1/x", hear: [b, "+/b"]}`, `bridges[0].tell[0]: "a/#" goes round and round: the bridge "one" tells it, and the bridge "two" hears "+/b"`},
		{`{name: one, protocol: vws, url: "ws://h:1/x", hear: [a], tell: [b, "c/+"]}, {name: two, protocol: vws, url: "ws://h:1/x", hear: [a, "c/+/d"], tell: ["d/#"]}`, ""},
		{good + `, {name: two, protocol: wubsub, url: "ws://h:1/", tell: [a], topic_prefix: two/}`, ""},
		{good + `, {name: two, protocol: wubsub, url: "ws://h:2/", tell: [a]}`, ""},
		{good + `, {name: two, protocol: wubsub, url: "ws://h:1/?room=2", tell: [a]}`, ""},
		{`{name: old, protocol: wubsub, url: "ws://h:1/", here: [a]}`, `did you mean "hear"?`},
	} {
		text := "endpoints: [{name: web, protocol: wsify, listen: ':1'}]\nbridges: [" + c.bridge + "]\n"
		cfg, err := Load(Source{Text: text}, []core.Protocol{wubsub.Protocol(), wsify.Protocol(), vws.Protocol(), stocking.Protocol()})
		switch {
		case c.want == "" && (err != nil || cfg.Bridges[0].Format == nil || cfg.Bridges[0].QueueLimit == 0):
			t.Errorf("%s: %+v, %v", c.bridge, cfg, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: %v, want %s", c.bridge, err, c.want)
		}
	}
}

// A message to an old server may be as big as its original takes, if the file does not say otherwise.
func TestBridgeMessageSize(t *testing.T) {
	for bridge, want := range map[string]Size{
		"protocol: wubsub": 512, "protocol: vws": 32768, "protocol: wsify": 32 << 20, "protocol: stocking": 0,
		"protocol: wubsub, max_message_size: 1MiB": 1 << 20, "protocol: wubsub, max_message_size: 0": 0,
	} {
		text := "endpoints: [{name: web, protocol: wsify, listen: ':1'}]\nbridges: [{name: old, url: 'ws://h:1/', hear: [a], " + bridge + "}]\n"
		cfg, err := Load(Source{Text: text}, []core.Protocol{wubsub.Protocol(), wsify.Protocol(), vws.Protocol(), stocking.Protocol()})
		if err != nil || cfg.Bridges[0].MaxMessageSize != want {
			t.Errorf("%s: %+v, %v; want %d", bridge, cfg, err, want)
		}
	}
}

// In a cluster the nodes agree on who runs a bridge, which takes what channels take.
func TestBridgesOfClusters(t *testing.T) {
	for cluster, want := range map[string]string{
		`{engine: nats, node: a, embedded: {listen: "127.0.0.1:6222", routes: ["nats://h:6222"]}}`:                    "cluster.embedded.store_dir: is missing: one node runs a bridge",
		`{engine: nats, node: a, embedded: {listen: "127.0.0.1:6222", routes: ["nats://h:6222"], store_dir: ./data}}`: "",
		`{engine: redis, node: a, url: "redis://h:6379"}`:                                                             "",
	} {
		text := "endpoints: [{name: web, protocol: wsify, listen: ':1'}]\nbridges: [{name: old, protocol: wsify, url: 'ws://h:1/', hear: [a]}]\ncluster: " + cluster + "\n"
		_, err := Load(Source{Text: text}, []core.Protocol{wsify.Protocol()})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", cluster, err, want)
		}
	}
}
