package config_test

import (
	"testing"

	"github.com/polywire/polywire/config"
)

// TestYAML shows what a file may begin with and contain besides the keys.
func TestYAML(t *testing.T) {
	const rest = "endpoints: [{name: a, protocol: chat}]\n"
	for name, text := range map[string]string{
		"YAML 1.1":               "%YAML 1.1\n---\n" + rest,
		"YAML 1.2":               "%YAML 1.2\n---\n" + rest,
		"YAML 1.3":               "%YAML 1.3 # the newest\n--- # begins\n" + rest,
		"with comments":          "# ours\n\n%YAML 1.2\n# it is\n---\n" + rest + "...\n",
		"CRLF":                   "%YAML 1.2\r\n---\r\nendpoints: [{name: a, protocol: chat}]\r\n",
		"byte order mark":        "\ufeff%YAML 1.2\n---\n" + rest,
		"tags besides":           "%TAG ! tag:example.com,2000:\n%YAML 1.2\n---\n" + rest,
		"a mark alone":           "---\n" + rest,
		"anchors of the file":    "x-base: &base {protocol: chat, max_calls: 5}\nendpoints: [{<<: *base, name: a}]\n",
		"a list of anchors":      "x-all:\n  - &one {name: a, protocol: chat}\n  - &two 7\nendpoints: [*one]\n",
		"variables of no use":    "x-base: {key: \"${UNSET}\"}\n" + rest,
		"x- holds what it likes": "x-1: 1\nx-2: [{endpoints: 3}]\nx-: {x: y}\n" + rest,
	} {
		t.Run(name, func(t *testing.T) {
			ep := load(t, config.Source{}, text).Endpoints
			if len(ep) != 1 || ep[0].Name != "a" || ep[0].Protocol != "chat" {
				t.Errorf("got %+v", ep)
			}
		})
	}
}

// A variable in an anchor is looked up where the anchor is used, and faults are reported there.
func TestAnchorsAreReadWhereTheyAreUsed(t *testing.T) {
	_, err := config.Load(config.Source{Text: "x-a: &a {topic_prefix: \"${UNSET}\"}\nendpoints:\n  - {<<: *a, name: a, protocol: chat}\n"}, protocols())
	if err == nil || err.Error() != "config:1: endpoints[0].topic_prefix: environment variable UNSET is not set; ${UNSET:-default} would allow that" {
		t.Errorf("got %v", err)
	}
}
