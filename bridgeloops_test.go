package polywire_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// readiness returns what /readyz says.
func (r *running) readiness(t *testing.T) string {
	t.Helper()
	_, body := get(t, strings.TrimSuffix(r.AdminURL(), "/metrics")+"/readyz")
	return strings.TrimSpace(body)
}

// mutual returns the configuration of a broker at a port whose bridge leads to a broker at another one.
func mutual(protocol string, port, other int, bridge bool) string {
	options := ""
	if protocol == "vws" {
		options = ", options: {allow_send: true}"
	}
	text := fmt.Sprintf("endpoints: [{name: web, protocol: %s, listen: \"127.0.0.1:%d\", path: /ws%s}]\nadmin: {listen: \"127.0.0.1:0\"}\n", protocol, port, options)
	if bridge {
		text += fmt.Sprintf("bridges: [{name: other, protocol: %s, url: \"ws://127.0.0.1:%d/ws\", hear: [chat/a], tell: [chat/a]}]\n", protocol, other)
	}
	return text
}

// Of two brokers whose bridges lead to each other, one bridge is connected, and says everything once in
// both directions. The other one takes over when that has gone.
func TestBridgesToEachOther(t *testing.T) {
	for _, protocol := range []string{"vws", "stocking", "wsify"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			ports := [2]int{coretest.FreePort(t), coretest.FreePort(t)}
			brokers := [2]*running{}
			for i := range brokers {
				brokers[i] = run(t, mutual(protocol, ports[i], ports[1-i], true))
			}
			refused := func(i int) bool {
				text := brokers[i].readiness(t)
				return strings.Contains(text, "but for the bridge other: ") && strings.Contains(text, "carries both ways")
			}
			kept := 0
			coretest.Eventually(t, "one bridge is connected and the other is refused", func() bool {
				for i := range brokers {
					if brokers[i].readiness(t) == "ok" && refused(1-i) {
						kept = i
						return true
					}
				}
				return false
			})
			said := 0
			once := func() {
				t.Helper()
				said++
				converseOnce(t, protocol, brokers, said)
			}
			once()
			if _, err := brokers[kept].Reload(load(t, mutual(protocol, ports[kept], 0, false))); err != nil {
				t.Fatal(err)
			}
			brokers[1-kept].joined(t)
			once()
		})
	}
}

// converseOnce lets clients of both brokers speak, and everything be heard once.
func converseOnce(t *testing.T, protocol string, brokers [2]*running, round int) {
	t.Helper()
	const n = 20
	type side struct {
		say   func(text string)
		heard <-chan core.Event
	}
	var sides [2]side
	for i, b := range brokers {
		listener, heard := speaks(t, protocol, b.urls["web"].URL)
		do(t, listener, core.Command{Verb: core.Subscribe, Topic: []byte("chat/a")})
		sayer, _ := speaks(t, protocol, b.urls["web"].URL)
		sides[i] = side{func(text string) { do(t, sayer, publish("chat/a", text)) }, heard}
	}
	coretest.Eventually(t, "both sides hear both", func() bool {
		for i := range sides {
			sides[i].say(fmt.Sprintf("probe %d of %d", round, i))
		}
		time.Sleep(5 * time.Millisecond)
		for i := range sides {
			if !heardText(sides[i].heard, fmt.Sprintf("probe %d of %d", round, 1-i)) {
				return false
			}
		}
		return true
	})
	seen := [2]map[string]int{{}, {}}
	until := func(end string) {
		for i := range sides {
			for _, ev := range collect(t, sides[i].heard, end) {
				seen[i][textOf(ev.Payload)]++
			}
		}
	}
	for i := range n {
		for s := range sides {
			sides[s].say(fmt.Sprintf("%d: %d of %d", round, i, s))
		}
	}
	// What went round would be heard between these: each goes over the bridge behind what was said before.
	for lap := range 5 {
		for s := range sides {
			end := fmt.Sprintf("%d: lap %d of %d", round, lap, s)
			sides[s].say(end)
			until(end)
		}
	}
	for i := range sides {
		for s := range sides {
			for m := range n {
				if text := fmt.Sprintf("%d: %d of %d", round, m, s); seen[i][text] != 1 {
					t.Fatalf("side %d heard %q %d times", i, text, seen[i][text])
				}
			}
		}
	}
}

// heardText reports whether a text was heard, and forgets what was heard before it.
func heardText(heard <-chan core.Event, text string) bool {
	for {
		select {
		case ev := <-heard:
			if textOf(ev.Payload) == text {
				return true
			}
		default:
			return false
		}
	}
}
