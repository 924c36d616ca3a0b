package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help find a client, show what it hears, and end it.
func TestExamplesOfConnections(t *testing.T) {
	s := speak(t, "")
	lists, kicks := examples(t, newConnections(), 3), examples(t, newKick(), 1)
	client := s.enter(t, "broker sub vws://127.0.0.1:8080/ws news/today")
	connected := func() (all []polywire.Connection) {
		t.Helper()
		var list polywire.ConnectionList
		if err := json.Unmarshal([]byte(s.enter(t, "broker connections --config config.yaml --limit 0 --json").ends(t)), &list); err != nil {
			t.Fatal(err)
		}
		return list.Connections
	}
	coretest.Eventually(t, "the client is connected", func() bool { return len(connected()) == 1 })
	one := connected()[0]
	line := fmt.Sprintf("%-12dvws       vws       -     %s", one.ID, one.Remote)
	if got := s.enter(t, lists[0]).ends(t); !strings.HasPrefix(got, "CONNECTION  ENDPOINT  PROTOCOL  NODE  REMOTE") || !strings.Contains(got, line) {
		t.Errorf("%s:\n%swants %s", lists[0], got, line)
	}
	id := fmt.Sprintf(" %d", one.ID)
	coretest.Eventually(t, "it hears its topic", func() bool {
		return strings.Contains(s.enter(t, strings.Replace(lists[1], " 7", id, 1)).ends(t), `"news/today"`)
	})
	if got := s.enter(t, "broker connections --config config.yaml"+id).ends(t); !strings.Contains(got, line) || !strings.Contains(got, "\nhears  news/today\n") || !strings.Contains(got, "\nqueue  0 of ") {
		t.Errorf("%s", got)
	}
	if got, want := s.enter(t, strings.Replace(kicks[0], " 7", id, 1)).ends(t), fmt.Sprintf("ended%s: %s of vws, drain\n", id, one.Remote); got != want {
		t.Errorf("%s: %q, want %q", kicks[0], got, want)
	}
	coretest.Eventually(t, "it is not connected, or again", func() bool {
		all := connected()
		return len(all) == 0 || all[0].ID != one.ID
	})
	// It has ended for another reason than the example asks for.
	coretest.Eventually(t, "it is among those that have ended", func() bool {
		return strings.Contains(s.enter(t, strings.Replace(lists[2], "slow", "drain", 1)).ends(t), one.Remote)
	})
	if got := s.enter(t, lists[2]).ends(t); !strings.HasPrefix(got, "CONNECTION  ENDPOINT") || strings.Contains(got, one.Remote) {
		t.Errorf("%s:\n%s", lists[2], got)
	}
	again := s.enter(t, "broker kick --config config.yaml"+id)
	if err := coretest.Receive(t, "the end of the command", again.done); err == nil || !strings.Contains(again.text(), "there is no connection"+id+"; it may have ended") {
		t.Errorf("%v: %s", err, again.text())
	}
	client.stop()
	_ = coretest.Receive(t, "the end of the client", client.done)
}
