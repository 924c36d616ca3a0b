package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nodePlugin is the folder of the plugin in Node.js.
const nodePlugin = "../examples/plugins/node-phoenix"

// phoenixEvent is an event printed by node/phoenix.mjs.
type phoenixEvent struct {
	Event, Topic, Name, Status string
	Payload                    json.RawMessage
	Code                       int
}

// TestPhoenix has the client of the Phoenix framework talk to a wsify client through the plugin
// that is written in Node.js.
func TestPhoenix(t *testing.T) {
	installed(t)
	program, err := filepath.Abs(nodePlugin + "/phoenix.mjs")
	if err != nil {
		t.Fatal(err)
	}
	p := configured(t, fmt.Sprintf(`
endpoints:
  - {name: phoenix, protocol: phoenix, listen: "127.0.0.1:0", plugin: {command: [node, %s], start_timeout: 30s}}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0"}
services:
  - {match: echo, builtin: echo}
admin: {listen: "127.0.0.1:0"}
`, program))
	web := connect(t, libraries[0], p.urls["wsify"])
	web.say(wsify.hear("room:1")...)
	web.hear(wsify.heard("room:1"))

	cmd := exec.Command("node", "phoenix.mjs", p.urls["phoenix"])
	cmd.Dir = "node"
	cmd.Stderr = t.Output()
	stdin, stdout := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Node.js: %v", err)
	}
	orders, said := json.NewEncoder(stdin), json.NewDecoder(stdout)
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node phoenix.mjs: %v", err)
		}
	})
	do := func(order map[string]any) {
		t.Helper()
		if err := orders.Encode(order); err != nil {
			t.Fatal(err)
		}
	}
	// The test's own deadline ends the waiting.
	hear := func(want phoenixEvent, payload string) {
		t.Helper()
		var got phoenixEvent
		if err := said.Decode(&got); err != nil {
			t.Fatalf("waiting for %+v: %v", want, err)
		}
		if string(got.Payload) != payload {
			t.Errorf("%s %s: %s, want %s", got.Event, got.Name, got.Payload, payload)
		}
		if got.Payload = nil; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}

	hear(phoenixEvent{Event: "open"}, "")
	do(map[string]any{"do": "join", "topic": "room:1"})
	hear(phoenixEvent{Event: "reply", Name: "join", Status: "ok"}, "{}")
	web.say(wsify.publish("room:1", `{"hello":"é"}`)...)
	web.hear(wsify.told("room:1", `{"hello":"é"}`))
	hear(phoenixEvent{Event: "message", Topic: "room:1", Name: second}, `{"hello":"é"}`)
	do(map[string]any{"do": "push", "topic": "room:1", "name": second, "payload": map[string]any{"n": 1}})
	hear(phoenixEvent{Event: "reply", Name: second, Status: "ok"}, "{}")
	hear(phoenixEvent{Event: "message", Topic: "room:1", Name: second}, `{"n":1}`)
	web.hear(wsify.told("room:1", `{"n":1}`))
	do(map[string]any{"do": "join", "topic": "rpc"})
	hear(phoenixEvent{Event: "reply", Name: "join", Status: "ok"}, "{}")
	do(map[string]any{"do": "push", "topic": "rpc", "name": "echo", "payload": []int{1, 2}})
	hear(phoenixEvent{Event: "reply", Name: "echo", Status: "ok"}, "[1,2]")
	do(map[string]any{"do": "push", "topic": "rpc", "name": "nobody", "payload": nil})
	hear(phoenixEvent{Event: "reply", Name: "nobody", Status: "error"}, `{"reason":"no_service","text":"nobody answers the service"}`)
	do(map[string]any{"do": "leave", "topic": "room:1"})
	hear(phoenixEvent{Event: "reply", Name: "leave", Status: "ok"}, "{}")
	do(map[string]any{"do": "disconnect"})
	hear(phoenixEvent{Event: "close", Code: 1005}, "")
}

// TestPhoenixConversations plays the scripts of the plugin as its README says.
func TestPhoenixConversations(t *testing.T) {
	installed(t)
	cmd := exec.Command(broker, "converse", "conversations/channels.txt")
	cmd.Dir = nodePlugin
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// installed checks that the plugin and its client are installed.
func installed(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"node/node_modules/phoenix", nodePlugin + "/node_modules/@grpc"} {
		if _, err := os.Stat(folder); err != nil {
			t.Fatalf("%s is not installed: run `make clients`", folder)
		}
	}
}
