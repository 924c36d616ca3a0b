package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help say who would hear a message, and why a client hears nothing.
func TestExamplesOfTraces(t *testing.T) {
	s := speak(t, "")
	traces, doctors := examples(t, newTrace(), 3), examples(t, newDoctor(), 2)
	client := s.enter(t, "broker sub vws://127.0.0.1:8080/ws news/today")
	var one polywire.Connection
	coretest.Eventually(t, "the client is connected", func() bool {
		var list polywire.ConnectionList
		text := s.enter(t, "broker connections --config config.yaml --topic news/today --json").ends(t)
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if len(list.Connections) == 1 {
			one = list.Connections[0]
		}
		return len(list.Connections) == 1
	})
	id := fmt.Sprintf(" %d", one.ID)
	for command, wants := range map[string][]string{
		traces[0]:                               {"news/today: 1 would hear it, 0 would miss it", "vws       vws       news/today", "connection" + id, one.Remote},
		strings.Replace(traces[1], " 7", id, 1): {"news/today: 1 would hear it", "ok  connection ", `as {"$binary": "…"}`},
		traces[2]:                               {"bots/echo: nobody answers it", "no client offers it"},
		strings.Replace(traces[0], "news/today", "news/Today", 1):  {"news/Today: 0 would hear it", "NEARLY", "upper and lower case differ"},
		strings.Replace(traces[0], "news/today", "'$call/1/x'", 1): {"$call/1/x: nobody would hear it", "problem  topic"},
		strings.Replace(doctors[0], " 7", id, 1):                   {"no problem was found", "ok  subscription  it hears news/today"},
		strings.Replace(doctors[1], "192.0.2.7", one.Remote, 1):    {"no problem was found", "connection" + id + " of " + one.Remote},
		strings.Replace(doctors[1], "192.0.2.7", "127.0.0.0/8", 1): {"no problem was found", "connection" + id + " of " + one.Remote},
		strings.Replace(doctors[0], " 7", id, 1) + " --json":       {`"healthy": true`},
	} {
		got := s.enter(t, command).ends(t)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s:\n%s\nwants %q", command, got, want)
			}
		}
	}
	for command, want := range map[string]string{
		strings.Replace(strings.Replace(doctors[0], " 7", id, 1), "today", "other", 1): "subscription: it has not subscribed to news/other, but to news/today\nwhat to do: let the client subscribe to news/other\n",
		doctors[1]: "connection: no client of 192.0.2.7 is connected",
	} {
		c := s.enter(t, command)
		if err := coretest.Receive(t, "the end of the command", c.done); err == nil || !strings.HasPrefix(c.text(), want) {
			t.Errorf("%s: %v\n%s\nwants %q", command, err, c.text(), want)
		}
	}
	client.stop()
	_ = coretest.Receive(t, "the end of the client", client.done)
}
